# Kubernetes replaces the mounted files of a changed ConfigMap or Secret, but sends no signal. This loop sends it:
# Mosquitto then reads users, access rules and its certificate again, and keeps its connections.
files='/mosquitto/password/password.txt /mosquitto/config/acl.txt /mosquitto/tls/tls.crt /mosquitto/tls/tls.key'
known=`cksum $files` files=$files sh -c '
  while sleep 5 && kill -0 $PPID; do
    now=`cksum $files` || continue
    [ "$now" = "$known" ] || kill -HUP $PPID
    known=$now
  done' &
exec /usr/sbin/mosquitto -c /mosquitto/config/mosquitto.conf

// Generates the shell script that runs the broker in its pod.
import { PATHS } from './config-text.ts'

// The files that Mosquitto reads again on SIGHUP, without closing the connections of users who stay the same. A change of
// `mosquitto.conf` needs a restart.
const RELOADED = [`${PATHS.password}/password.txt`, `${PATHS.config}/acl.txt`]
const RELOADED_TLS = [`${PATHS.tls}/tls.crt`, `${PATHS.tls}/tls.key`]

/** Returns the script: it starts Mosquitto, and has it read users, access rules and certificate again when they change. */
export function startScript(hasTls: boolean): string {
  const files = hasTls ? [...RELOADED, ...RELOADED_TLS] : RELOADED
  return [
    '# Kubernetes replaces the mounted files of a changed ConfigMap or Secret, but sends no signal. This loop sends it:',
    '# Mosquitto then reads users, access rules and its certificate again, and keeps its connections.',
    // Kubernetes itself would expand `$(…)` and `$$`.
    `files='${files.join(' ')}'`,
    "known=`cksum $files` files=$files sh -c '",
    '  while sleep 5 && kill -0 $PPID; do',
    '    now=`cksum $files` || continue',
    '    [ "$now" = "$known" ] || kill -HUP $PPID',
    '    known=$now',
    "  done' &",
    `exec /usr/sbin/mosquitto -c ${PATHS.config}/mosquitto.conf`,
    '',
  ].join('\n')
}

// Generates the shell script that runs the broker in its pod.
import { PATHS } from './config-text.ts'

/**
 * The files that Mosquitto reads again on SIGHUP, without closing the connections of users who stay the same. A change
 * of `mosquitto.conf` needs a restart.
 */
const RELOADED = `${PATHS.password}/password.txt ${PATHS.config}/acl.txt`

/** Returns the script: it starts Mosquitto, and has it read users and access rules again when they change. */
export function startScript(): string {
  return [
    '# Kubernetes replaces the mounted files of a changed ConfigMap or Secret, but sends no signal. This loop sends it:',
    '# Mosquitto then reads users and access rules again, and keeps its connections.',
    // Kubernetes itself would expand `$(…)` and `$$`.
    `files='${RELOADED}'`,
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

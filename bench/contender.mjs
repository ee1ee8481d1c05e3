// Who takes part, and the command line that starts it.
import { join, relative } from 'node:path'
import { BUILD, ROOT } from './paths.mjs'

/** The one that the others are compared with. */
export const YARDSTICK = 'c'

const INFERWIRE =
  'node packages/cli/bin/inferwire.js connect --broker mqtt://127.0.0.1:{mqtt_port}' +
  ' --model iris=http://127.0.0.1:{http_port},protocolVersion=v1 --admin-port {admin_port}'

/**
 * Commands by name. The process that is started must do the work itself: its CPU time and memory are what is measured.
 * With `{admin_port}` in it, the time until `/readyz` says 200 is measured as well.
 */
export const CONTENDERS = {
  [YARDSTICK]: `${relative(ROOT, join(BUILD, 'connector'))} 127.0.0.1 {mqtt_port} http://127.0.0.1:{http_port} 1`,
  inferwire: INFERWIRE,
}

/** `{mqtt_port}`, `{http_port}` and `{admin_port}` filled in; words are separated by blanks, "…" keeps them together. */
export function commandLine(command, ports) {
  const words = [...command.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain)
  const [program, ...args] = words.map((word) =>
    word.replaceAll(/\{(\w+)\}/g, (all, name) => ports[name] ?? all),
  )
  if (program === undefined) throw new Error('The command of a contender is empty.')
  return [program === 'node' ? process.execPath : program, args]
}

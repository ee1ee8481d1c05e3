// The contenders and the command lines that start them.
import { join, relative } from 'node:path'
import { BUILD, ROOT } from './paths.mjs'

/** The contender with which all other contenders are compared. */
export const YARDSTICK = 'c'

const INFERWIRE =
  'node packages/cli/bin/inferwire.js connect --broker mqtt://127.0.0.1:{mqtt_port}' +
  ' --model iris=http://127.0.0.1:{http_port},protocolVersion=v1 --admin-port {admin_port}'

/**
 * Commands, keyed by contender name. The process that a command starts must do the work itself, because its CPU time
 * and memory are measured. If the command contains `{admin_port}`, the time until `/readyz` returns 200 is measured as
 * well.
 */
export const CONTENDERS = {
  [YARDSTICK]: `${relative(ROOT, join(BUILD, 'connector'))} 127.0.0.1 {mqtt_port} http://127.0.0.1:{http_port} 1`,
  inferwire: INFERWIRE,
}

/** Replaces `{mqtt_port}`, `{http_port}` and `{admin_port}`, and splits the command at blanks outside double quotes. */
export function commandLine(command, ports) {
  const words = [...command.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain)
  const [program, ...args] = words.map((word) =>
    word.replaceAll(/\{(\w+)\}/g, (all, name) => ports[name] ?? all),
  )
  if (program === undefined) throw new Error('The command of a contender is empty.')
  return [program === 'node' ? process.execPath : program, args]
}

/**
 * Returns the contenders to measure.
 * @param {string | undefined} list names, separated by commas; all contenders if undefined
 * @param {string[]} added `NAME=COMMAND`: additional contenders, or different commands for known ones
 */
export function chooseContenders(list, added) {
  const commands = { ...CONTENDERS }
  for (const text of added) {
    const [, name, command] = /^([\w-]+)=(.+)$/.exec(text) ?? []
    if (name === undefined) throw new Error(`--contender "${text}": expected NAME=COMMAND`)
    commands[name] = command
  }
  const names = list?.split(',') ?? Object.keys(commands)
  return names.map((name) => {
    const command = commands[name]
    if (command === undefined) {
      throw new Error(`Contender "${name}" is unknown; known contenders: ${Object.keys(commands).join(', ')}`)
    }
    return { name, command }
  })
}

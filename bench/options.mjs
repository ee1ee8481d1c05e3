// Reads the command line of a benchmark, and writes the text of `--help` from the same table of options.
import { parseArgs } from 'node:util'

const INFLIGHT_MAX = 4096
const HELP_COLUMN = 27

/** The option of all benchmarks that write a section of RESULTS.md. */
export const WRITE = flag('write the results to bench/RESULTS.md')
const COMMON = {
  'no-build': flag('use the existing builds of the packages; do not run `tsc -b`'),
  help: flag('print this text'),
}

/**
 * Describes an option with a value.
 * @param {{ default?: string, value: string, help: string, multiple?: boolean, read?: (text: any, name: string) =>
 *   unknown }} option `value` is the placeholder in the help text; `read` throws an Error for an invalid value
 */
export function text(option) {
  return { type: 'string', read: (value) => value, ...option }
}

/** Describes an option that is a positive integer. */
export function whole(defaultValue, help) {
  return text({ default: String(defaultValue), value: 'N', help, read: positive })
}

/** Describes an option that is a list of scenarios. */
export function scenarios(defaultValue, help) {
  return text({
    default: defaultValue,
    value: 'LIST',
    help,
    read: (list) => list.split(',').map(parseScenario),
  })
}

/** Describes an option without a value. */
export function flag(help) {
  return { type: 'boolean', default: false, help, read: (value) => value }
}

/**
 * Parses a command line.
 * @param {string[]} args
 * @param {Record<string, ReturnType<typeof text> | ReturnType<typeof flag>>} own the options of this benchmark, by name
 * @returns the values, by name; the option `quiet-seconds` becomes the member `quietSeconds`
 * @throws Error that names the mistake and the expected values
 */
export function readOptions(args, own) {
  const all = { ...own, ...COMMON }
  const options = Object.entries(all).map(([name, { type, default: value, multiple = false }]) => [
    name,
    { type, multiple, ...(value === undefined ? {} : { default: value }) },
  ])
  const { values } = parseArgs({ args, options: Object.fromEntries(options) })
  return Object.fromEntries(
    Object.entries(all).map(([name, { read }]) => [
      camelCase(name),
      values[name] === undefined ? undefined : read(values[name], `--${name}`),
    ]),
  )
}

/** Returns the text of `--help`. @param {string} command what the user types before the options */
export function usage(command, own) {
  const lines = Object.entries({ ...own, ...COMMON }).map(([name, option]) => {
    const head = `  --${name}${option.value === undefined ? '' : ` ${option.value}`}`
    const isShown = typeof option.default === 'string'
    const help = `${option.help}${isShown ? ` (default ${option.default})` : ''}`
    return `${head.padEnd(HELP_COLUMN - 1)} ${help.replaceAll('\n', `\n${' '.repeat(HELP_COLUMN)}`)}`
  })
  return `Usage: ${command} [options]\n\n${lines.join('\n')}\n`
}

/** Parses a scenario: `32x100k` -> `{ name, inflight: 32, bodyBytes: 100000 }` */
export function parseScenario(name) {
  const match = /^(\d+)(?:x(\d+)(k?))?$/.exec(name)
  const inflight = Number(match?.[1])
  if (!(inflight >= 1 && inflight <= INFLIGHT_MAX)) {
    throw new Error(
      `Scenario "${name}": expected INFLIGHT (1 to ${INFLIGHT_MAX}) or INFLIGHTxBYTES, as in 32 or 32x100k`,
    )
  }
  const bodyBytes = match[2] === undefined ? 200 : Number(match[2]) * (match[3] === 'k' ? 1000 : 1)
  return { name, inflight, bodyBytes }
}

/** Parses a positive integer. */
export function positive(value, name) {
  const number = Number(value)
  if (Number.isInteger(number) && number > 0) return number
  throw new Error(`${name} "${value}": expected a positive integer`)
}

function camelCase(name) {
  return name.replaceAll(/-(\w)/g, (_, letter) => letter.toUpperCase())
}

// The command line of `npm run bench`.
import { parseArgs } from 'node:util'
import { CONTENDERS } from './contender.mjs'

const SCENARIOS = '1,32,256,32x100k'
const INFLIGHT_MAX = 4096

/** Text of `--help`. */
export const USAGE = `Usage: npm run bench -- [options]

  --rounds N               number of rounds (default 3)
  --seconds N              measured time of each run, after 1 s of warm-up (default 4)
  --scenarios LIST         INFLIGHT or INFLIGHTxBYTES, with k for 1000 bytes (default ${SCENARIOS});
                           without BYTES, bodies are 200 bytes long
  --contenders LIST        contenders to measure (default: all; known: ${Object.keys(CONTENDERS).join(', ')})
  --contender NAME=COMMAND an additional contender, or a different command for a known one; repeatable.
                           Placeholders: {mqtt_port}, {http_port}, {admin_port}
  --write                  write the table to bench/RESULTS.md
  --no-build               use the existing build, without \`tsc -b\`
`

/** Parses the command line. @throws Error that names the mistake and the allowed values */
export function readOptions(args) {
  const { values } = parseArgs({
    args,
    options: {
      rounds: { type: 'string', default: '3' },
      seconds: { type: 'string', default: '4' },
      scenarios: { type: 'string', default: SCENARIOS },
      contenders: { type: 'string' },
      contender: { type: 'string', multiple: true, default: [] },
      write: { type: 'boolean', default: false },
      'no-build': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  return {
    rounds: positive('--rounds', values.rounds),
    seconds: positive('--seconds', values.seconds),
    scenarios: values.scenarios.split(',').map(parseScenario),
    contenders: chooseContenders(values.contenders, values.contender),
    write: values.write,
    buildPackages: !values['no-build'],
    help: values.help,
  }
}

/** Parses a scenario: `32x100k` -> `{ name, inflight: 32, bodyBytes: 100000 }` */
export function parseScenario(name) {
  const match = /^(\d+)(?:x(\d+)(k?))?$/.exec(name)
  const inflight = Number(match?.[1])
  if (!(inflight >= 1 && inflight <= INFLIGHT_MAX)) {
    throw new Error(
      `Scenario "${name}": expected INFLIGHT (1 to ${INFLIGHT_MAX}) or INFLIGHTxBYTES, as in ${SCENARIOS}`,
    )
  }
  const bodyBytes = match[2] === undefined ? 200 : Number(match[2]) * (match[3] === 'k' ? 1000 : 1)
  return { name, inflight, bodyBytes }
}

/** Parses a positive integer. */
export function positive(option, text) {
  const value = Number(text)
  if (Number.isInteger(value) && value > 0) return value
  throw new Error(`${option} "${text}": expected a positive integer`)
}

function chooseContenders(list, added) {
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

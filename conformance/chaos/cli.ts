// `npm run chaos`: one run from the command line. The exit code is 1 if the run failed.
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { DETECTION_RUN, detectionSchedule } from './detection.ts'
import { report } from './report.ts'
import type { ChaosResult } from './result.ts'
import { runChaos } from './run.ts'
import { makeSchedule, shrinkSchedule, type Fault } from './schedule.ts'

const USAGE = `npm run chaos -- [options]
  --requests N     number of requests [default: 20000]
  --faults N       number of faults, one every 2.5 s [default: 8]
  --rate N         maximum requests per second [default: 1000]
  --seed N         seed of the schedule [default: random; it is printed]
  --replay N       the same as --seed
  --minutes M      stops sending after M minutes
  --plant NAME     runs a connector with a planted bug (see conformance/rig/planted-bugs.ts)
  --in-flight N    maximum number of unanswered requests [default: 200]
  --raw N, --sdk N numbers of raw and SDK clients; must be even [default: 40, 4]
  --trusting       runs the connector with poison.enabled: false
  --detection      makes the short run that detects every planted bug
  --shrink         after a failure, searches for a shorter schedule that also fails
  --json FILE      writes the result as JSON`

const DEFAULTS = { minutes: undefined, plant: undefined, 'in-flight': '200', raw: '40', sdk: '4' } as const
const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '20000' },
    faults: { type: 'string' },
    rate: { type: 'string', default: '1000' },
    seed: { type: 'string' },
    replay: { type: 'string' },
    minutes: { type: 'string' },
    plant: { type: 'string' },
    'in-flight': { type: 'string', default: DEFAULTS['in-flight'] },
    raw: { type: 'string', default: DEFAULTS.raw },
    sdk: { type: 'string', default: DEFAULTS.sdk },
    trusting: { type: 'boolean', default: false },
    detection: { type: 'boolean', default: false },
    shrink: { type: 'boolean', default: false },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

if (values.help) {
  process.stdout.write(`${USAGE}\n`)
  process.exit(0)
}
const requests = number('requests', values.requests)
const rate = number('rate', values.rate)
const seed = number('seed', values.replay ?? values.seed ?? String(Math.floor(Math.random() * 0x1_0000_0000)))
const minutesMs = values.minutes === undefined ? undefined : number('minutes', values.minutes) * 60_000
const faults = number(
  'faults',
  values.faults ?? String(minutesMs === undefined ? 8 : Math.ceil(minutesMs / 2500)),
)
const durationMs = minutesMs ?? Math.max((requests / rate) * 1000, faults * 2500)
const schedule = makeSchedule({ seed, faults, durationMs })
const replay = `npm run chaos -- --replay ${seed} --requests ${requests} --faults ${faults} --rate ${rate}${rest()}`

if (values.detection) process.exit(await detect())
say(`seed ${seed}: ${requests} requests, ${faults} faults over ${(durationMs / 1000).toFixed(0)} s`)
const result = await run(schedule)
say(report(result, replay))
if (values.json !== undefined) {
  writeFileSync(values.json, `${JSON.stringify({ seed, replay, ...result }, null, 2)}\n`)
}
if (values.shrink && result.hasFailed) {
  const fails = async (candidate: readonly Fault[]): Promise<boolean> => {
    const { hasFailed } = await run(candidate)
    say(`${candidate.length} faults: ${hasFailed ? 'still fails' : 'passes'}`)
    return hasFailed
  }
  const shortest = await shrinkSchedule(schedule, fails)
  say(`The shortest schedule found has ${shortest.length} faults:\n${JSON.stringify(shortest, null, 2)}`)
}
process.exit(result.hasFailed ? 1 : 0)

async function detect(): Promise<number> {
  const seedOfTest = values.replay ?? values.seed ?? '11'
  const again = `npm run chaos -- --detection --seed ${seedOfTest}${values.plant === undefined ? '' : ` --plant ${values.plant}`}`
  const schedule = detectionSchedule(number('seed', seedOfTest))
  const outcome = await runChaos({ ...DETECTION_RUN, schedule, plant: values.plant, progress: say })
  say(report(outcome, again))
  return outcome.hasFailed ? 1 : 0
}

function run(faultsToRun: readonly Fault[]): Promise<ChaosResult> {
  const last = faultsToRun.at(-1)?.atMs ?? 0
  const isWhole = faultsToRun.length === schedule.length
  return runChaos({
    schedule: faultsToRun,
    requests,
    requestsPerSecond: rate,
    plant: values.plant,
    looksForPoison: !values.trusting,
    durationMs: isWhole ? minutesMs : last + 5000,
    stopWhenDetected: values.plant !== undefined || !isWhole,
    rawClients: number('raw', values.raw),
    sdkClients: number('sdk', values.sdk),
    inFlightMax: number('in-flight', values['in-flight']),
    progress: say,
  })
}

// Returns the options that differ from their defaults, for the command that repeats the run.
function rest(): string {
  const names = ['minutes', 'plant', 'in-flight', 'raw', 'sdk'] as const
  const given = names.filter((name) => values[name] !== DEFAULTS[name])
  const text = given.map((name) => ` --${name} ${values[name]}`).join('')
  return `${text}${values.trusting ? ' --trusting' : ''}`
}

function number(name: string, text: string): number {
  const value = Number(text)
  if (Number.isFinite(value) && value >= 0) return value
  process.stderr.write(`--${name} is "${text}"; expected a number.\n\n${USAGE}\n`)
  process.exit(64)
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

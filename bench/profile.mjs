// `node bench/profile.mjs`: profiles the connector under load with V8's CPU profiler.
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join, relative } from 'node:path'
import { parseArgs } from 'node:util'
import { endChildrenWithMe } from './child.mjs'
import { CONTENDERS } from './contender.mjs'
import { selfTimes } from './cpu-profile.mjs'
import { measure } from './measure.mjs'
import { parseScenario, positive } from './options.mjs'
import { BUILD, ROOT } from './paths.mjs'
import { prepare } from './prepare.mjs'
import { progress, table } from './report.mjs'
import { startModel } from './testbed.mjs'

const USAGE = `Usage: node bench/profile.mjs [options]

  --scenario NAME      INFLIGHT or INFLIGHTxBYTES (default 32)
  --seconds N          time profiled, after 1 s of warm-up (default 5)
  --top N              number of functions in the table (default 40)
  --interval-us N      time between two samples (default 250)
  --command COMMAND    profiles this command instead of inferwire; it must begin with "node "
  --no-build           use the existing builds of the packages; do not run \`tsc -b\`
`
const FOLDER = join(BUILD, 'profile')

endChildrenWithMe()
try {
  await main()
} catch (error) {
  process.stderr.write(`\n${error.message}\n`)
  process.exitCode = 1
}

async function main() {
  const { values } = parseArgs({
    options: {
      scenario: { type: 'string', default: '32' },
      seconds: { type: 'string', default: '5' },
      top: { type: 'string', default: '40' },
      'interval-us': { type: 'string', default: '250' },
      command: { type: 'string', default: CONTENDERS.inferwire },
      'no-build': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return process.stdout.write(USAGE)
  const scenario = parseScenario(values.scenario)
  const seconds = positive('--seconds', values.seconds)
  const top = positive('--top', values.top)
  const flags = `--cpu-prof "--cpu-prof-dir=${FOLDER}" --cpu-prof-interval=${positive('--interval-us', values['interval-us'])}`
  if (!values.command.startsWith('node ')) throw new Error('--command: it must begin with "node "')
  const command = values.command.replace('node ', () => `node ${flags} `)

  await prepare({ buildPackages: !values['no-build'] })
  rmSync(FOLDER, { recursive: true, force: true })
  mkdirSync(FOLDER, { recursive: true })
  const run = await profiled({ name: 'profiled', command }, scenario, seconds)
  const profile = readProfile()
  process.stdout.write(
    `${progress({ round: 1, scenario: scenario.name, contender: 'profiled', ...run })}\n\n`,
  )
  print(selfTimes(profile.content, run.window), run.answers, top)
  process.stdout.write(
    `\nWhole profile, for Chrome's DevTools or speedscope: ${relative(ROOT, profile.file)}\n`,
  )
}

async function profiled(contender, scenario, seconds) {
  const model = await startModel()
  try {
    return await measure(contender, scenario, { seconds, model })
  } finally {
    await model.stop()
  }
}

// Worker threads write separate profiles; the main thread's profile has thread number 0 in its file name.
function readProfile() {
  const names = readdirSync(FOLDER).filter((name) => name.endsWith('.cpuprofile'))
  const name = names.find((one) => one.endsWith('.0.001.cpuprofile')) ?? names[0]
  if (name === undefined) {
    throw new Error(
      'The connector wrote no profile: it must exit by itself after SIGTERM. See bench/.build/log/profiled.log',
    )
  }
  const file = join(FOLDER, name)
  return { file, content: JSON.parse(readFileSync(file, 'utf8')) }
}

function print({ busyUs, functions, parts }, answers, top) {
  const row = ([name, us]) => [
    ((us / busyUs) * 100).toFixed(1),
    // µs per request is the same number as ms per 1000 requests.
    (us / answers).toFixed(2),
    name,
  ]
  const tables = { part: parts, function: functions }
  const texts = Object.entries(tables).map(([what, times]) =>
    table(['self %', 'ms per 1000', what], [...times].slice(0, top).map(row)),
  )
  process.stdout.write(`${texts.join('\n\n')}\n`)
}

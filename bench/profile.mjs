// `node bench/profile.mjs`: profiles the connector under load with V8's CPU profiler.
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join, relative } from 'node:path'
import { runCommand } from './command.mjs'
import { CONTENDERS } from './contender.mjs'
import { selfTimes } from './cpu-profile.mjs'
import { measure } from './measure.mjs'
import { parseScenario, text, whole } from './options.mjs'
import { BUILD, ROOT } from './paths.mjs'
import { prepare } from './prepare.mjs'
import { progress } from './report.mjs'
import { table } from './table.mjs'
import { startModel } from './testbed.mjs'

const OPTIONS = {
  scenario: text({
    default: '32',
    value: 'NAME',
    help: 'INFLIGHT or INFLIGHTxBYTES',
    read: parseScenario,
  }),
  seconds: whole(5, 'time profiled, after 1 s of warm-up'),
  top: whole(40, 'number of functions in the table'),
  'interval-us': whole(250, 'time between two samples'),
  command: text({
    value: 'COMMAND',
    help: 'profiles this command instead of inferwire; it must begin with "node "',
  }),
}
const FOLDER = join(BUILD, 'profile')

await runCommand('node bench/profile.mjs', OPTIONS, main)

async function main({
  scenario,
  seconds,
  top,
  intervalUs,
  command: profiledCommand = CONTENDERS.inferwire,
  ...options
}) {
  const flags = `--cpu-prof "--cpu-prof-dir=${FOLDER}" --cpu-prof-interval=${intervalUs}`
  if (!profiledCommand.startsWith('node ')) throw new Error('--command: it must begin with "node "')
  const command = profiledCommand.replace('node ', () => `node ${flags} `)

  await prepare(options)
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

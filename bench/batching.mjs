// `npm run bench:batching`: measures the gains and costs of merging requests into calls. See README.md.
import { join } from 'node:path'
import { batchingReport, progress, SETTINGS } from './batching-report.mjs'
import { runCommand } from './command.mjs'
import { writeConfig } from './connector.mjs'
import { CONTENDERS, YARDSTICK } from './contender.mjs'
import { measure } from './measure.mjs'
import { parseScenario, scenarios, whole, WRITE } from './options.mjs'
import { ROOT } from './paths.mjs'
import { prepare } from './prepare.mjs'
import { publishSection } from './results-section.mjs'
import { inRounds } from './rounds.mjs'
import { startCountingModel } from './testbed.mjs'
import { startWorker } from './worker.mjs'

const OPTIONS = {
  rounds: whole(3, 'number of rounds'),
  seconds: whole(4, 'measured time of each run, after 1 s of warm-up'),
  scenarios: scenarios(
    '1,64',
    'numbers of requests in flight with the slow model server,\nseparated by commas; with the cheap one: always 32',
  ),
  write: WRITE,
}
const PER_CALL_MS = 5
const PER_INSTANCE_MS = 0.1
const CHEAP_SCENARIO = '32'
/** The yardstick, and the SETTINGS that are compared with it. */
const CHEAP_CONTENDERS = [YARDSTICK, 'off, concurrency 64', 'auto, concurrency 64']

await runCommand('npm run bench:batching --', OPTIONS, main)

async function main(options) {
  await prepare(options)
  const begun = new Date()
  const slow = await withModel(startSlowModel, 'slow', { ...options, contenders: Object.keys(SETTINGS) })
  const cheapScenarios = { scenarios: [parseScenario(CHEAP_SCENARIO)], contenders: CHEAP_CONTENDERS }
  const cheap = await withModel(startCountingModel, 'cheap', { ...options, ...cheapScenarios })
  publish([...slow, ...cheap], options, begun)
}

async function startSlowModel() {
  const upstream = startWorker('batching-upstream', join(ROOT, 'bench/batching-upstream.mjs'))
  const port = await upstream.call('listen', { perCallMs: PER_CALL_MS, perInstanceMs: PER_INSTANCE_MS })
  return { port, pid: upstream.pid, calls: () => upstream.call('calls'), stop: upstream.stop }
}

async function withModel(startModel, server, options) {
  const model = await startModel()
  try {
    const runs = []
    for (const { round, scenario, contender: name } of inRounds(options)) {
      const measured = await measure(contenderOf(name, model), scenario, { seconds: options.seconds, model })
      const run = { round, server, scenario: scenario.name, name, ...measured }
      runs.push(run)
      process.stderr.write(`${progress(run)}\n`)
    }
    return runs
  } finally {
    await model.stop()
  }
}

function contenderOf(name, { port }) {
  if (name === YARDSTICK) return { name, command: CONTENDERS[YARDSTICK] }
  const iris = { url: `http://127.0.0.1:${port}`, protocolVersion: 'v1', ...SETTINGS[name] }
  const file = writeConfig('batching', { models: { iris } })
  const command = `node packages/cli/bin/inferwire.js connect -c ${file} --broker mqtt://127.0.0.1:{mqtt_port} --admin-port {admin_port}`
  return { name: 'batching', command }
}

function publish(runs, { commandLine: command, rounds, seconds, write }, begun) {
  const section = {
    name: 'batching',
    title: 'Batching',
    command,
    about: `The slow model server handles one call at a time, which takes ${PER_CALL_MS} ms plus ${PER_INSTANCE_MS} ms per instance. The cheap one answers at once, with as little CPU time as nginx.`,
    begun,
    settings: [`${rounds} rounds, ${seconds} s per run after 1 s of warm-up, QoS 1, medians over the rounds`],
    isWriting: write,
  }
  publishSection(section, batchingReport(runs))
}

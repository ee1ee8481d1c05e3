// `npm run bench:batching`: measures the gains and costs of merging requests into calls. See README.md.
import { join } from 'node:path'
import { runCommand } from './command.mjs'
import { writeConfig } from './connector.mjs'
import { idleDoubts } from './idle.mjs'
import { measure } from './measure.mjs'
import { scenarios, whole, WRITE } from './options.mjs'
import { ROOT } from './paths.mjs'
import { prepare } from './prepare.mjs'
import { publishSection } from './results-section.mjs'
import { inRounds } from './rounds.mjs'
import { median } from './statistics.mjs'
import { table } from './table.mjs'
import { startWorker } from './worker.mjs'

const OPTIONS = {
  rounds: whole(3, 'number of rounds'),
  seconds: whole(4, 'measured time of each run, after 1 s of warm-up'),
  scenarios: scenarios('1,64', 'numbers of requests in flight, separated by commas'),
  write: WRITE,
}
const PER_CALL_MS = 5
const PER_INSTANCE_MS = 0.1
/** The values of `models.*.batching` and of `limits.concurrency` that are compared. */
const SETTINGS = {
  off: { limits: { concurrency: 1 } },
  'sizeMax: 64': { batching: { sizeMax: 64 }, limits: { concurrency: 1 } },
  auto: { batching: 'auto', limits: { concurrency: 1 } },
  'off, concurrency 64': {},
  'auto, concurrency 64': { batching: 'auto' },
}

await runCommand('npm run bench:batching --', OPTIONS, main)

async function main(options) {
  await prepare(options)
  const begun = new Date()
  const upstream = startWorker('batching-upstream', join(ROOT, 'bench/batching-upstream.mjs'))
  const runs = []
  try {
    const port = await upstream.call('listen', { perCallMs: PER_CALL_MS, perInstanceMs: PER_INSTANCE_MS })
    const order = inRounds({ ...options, contenders: Object.keys(SETTINGS) })
    for (const { round, scenario, contender: name } of order) {
      const run = await measureOne(name, scenario, { ...options, upstream, port })
      runs.push({ round, scenario: scenario.name, name, ...run })
      process.stderr.write(
        `${scenario.name.padStart(3)}  ${name.padEnd(21)} ${run.requestsPerSecond.toFixed(0)} requests/s, p99 ${run.p99Ms} ms, ${run.perCall.toFixed(1)} per call\n`,
      )
    }
  } finally {
    await upstream.stop()
  }
  publish(runs, options, begun)
}

async function measureOne(name, scenario, { seconds, upstream, port }) {
  const iris = { url: `http://127.0.0.1:${port}`, protocolVersion: 'v1', ...SETTINGS[name] }
  const file = writeConfig('batching', { models: { iris } })
  const command = `node packages/cli/bin/inferwire.js connect -c ${file} --broker mqtt://127.0.0.1:{mqtt_port} --admin-port {admin_port}`
  const before = await upstream.call('calls')
  const run = await measure({ name: 'batching', command }, scenario, {
    seconds,
    model: { port, pid: upstream.pid },
  })
  const calls = (await upstream.call('calls')) - before
  return { ...run, perCall: run.total / calls }
}

function publish(runs, { commandLine: command, rounds, seconds, write }, begun) {
  const section = {
    name: 'batching',
    title: 'Batching',
    command,
    about: `The model server handles one call at a time, which takes ${PER_CALL_MS} ms plus ${PER_INSTANCE_MS} ms per instance. The ratio is the requests/s divided by the requests/s with \`off\` in the same round.`,
    begun,
    settings: [`${rounds} rounds, ${seconds} s per run after 1 s of warm-up, QoS 1, medians over the rounds`],
    isWriting: write,
  }
  publishSection(section, [batchingTable(runs), ...idleDoubts(runs)])
}

function batchingTable(runs) {
  const keys = new Set(runs.map(({ scenario, name }) => `${scenario}|${name}`))
  const rows = [...keys].map((key) => {
    const [scenario, name] = key.split('|')
    const of = runs.filter((run) => run.scenario === scenario && run.name === name)
    const cell = (member, digits) => median(of.map((run) => run[member])).toFixed(digits)
    const ratio = median(of.map((run) => run.requestsPerSecond / withoutBatching(runs, run)))
    return [
      scenario,
      `\`${name}\``,
      cell('requestsPerSecond', 0),
      ratio.toFixed(2),
      cell('perCall', 1),
      cell('p50Ms', 1),
      cell('p99Ms', 1),
      cell('connectorCpuMs', 0),
    ]
  })
  const figures = ['requests per call', 'p50 ms', 'p99 ms', 'connector CPU ms per 1000']
  return table(['in flight', 'batching', 'requests/s', 'ratio to `off`', ...figures], rows)
}

// Returns the requests/s of the run without batching that has the same scenario and round.
function withoutBatching(runs, { scenario, round }) {
  const isPair = (run) => run.scenario === scenario && run.round === round && run.name === 'off'
  return runs.find(isPair).requestsPerSecond
}

// `npm run bench:batching`: measures the gains and costs of merging requests into calls. See README.md.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { endChildrenWithMe } from './child.mjs'
import { measure } from './measure.mjs'
import { parseScenario, positive } from './options.mjs'
import { BUILD, RESULTS, ROOT } from './paths.mjs'
import { describeMachine, prepare } from './prepare.mjs'
import { OTHER_CORES_MAX, table } from './report.mjs'
import { replaceSection } from './results-section.mjs'
import { startWorker } from './worker.mjs'

const USAGE = `Usage: npm run bench:batching -- [options]

  --rounds N         number of rounds (default 3)
  --seconds N        measured time of each run, after 1 s of warm-up (default 4)
  --scenarios LIST   numbers of requests in flight, separated by commas (default 1,64)
  --write            write the table to bench/RESULTS.md
  --no-build         use the existing build, without \`tsc -b\`
`
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

endChildrenWithMe()
try {
  await main(readOptions(process.argv.slice(2)))
} catch (error) {
  process.stderr.write(`\n${error.message}\n`)
  process.exitCode = 1
}

function text(value) {
  return { type: 'string', default: value }
}

function readOptions(args) {
  const { values } = parseArgs({
    args,
    options: {
      rounds: text('3'),
      seconds: text('4'),
      scenarios: text('1,64'),
      write: { type: 'boolean', default: false },
      'no-build': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  return {
    rounds: positive('--rounds', values.rounds),
    seconds: positive('--seconds', values.seconds),
    scenarios: values.scenarios.split(',').map(parseScenario),
    write: values.write,
    buildPackages: !values['no-build'],
    help: values.help,
  }
}

async function main(options) {
  if (options.help) return process.stdout.write(USAGE)
  await prepare(options)
  const begun = new Date()
  const upstream = startWorker('batching-upstream', join(ROOT, 'bench/batching-upstream.mjs'))
  const runs = []
  try {
    const port = await upstream.call('listen', { perCallMs: PER_CALL_MS, perInstanceMs: PER_INSTANCE_MS })
    const names = Object.keys(SETTINGS)
    for (let round = 1; round <= options.rounds; round++) {
      // The order is reversed every second round, so that no setting is always first.
      const order = round % 2 === 1 ? names : names.toReversed()
      for (const scenario of options.scenarios) {
        for (const name of order) {
          const run = await measureOne(name, scenario, { ...options, upstream, port })
          runs.push({ scenario: scenario.name, name, ...run })
          process.stderr.write(
            `${scenario.name.padStart(3)}  ${name.padEnd(21)} ${run.requestsPerSecond.toFixed(0)} requests/s, p99 ${run.p99Ms} ms, ${run.perCall.toFixed(1)} per call\n`,
          )
        }
      }
    }
  } finally {
    await upstream.stop()
  }
  const section = sectionOf(runs, options, begun)
  process.stdout.write(`\n${section}\n`)
  if (options.write) writeFileSync(RESULTS, replaceSection(RESULTS, 'batching', section))
}

async function measureOne(name, scenario, { seconds, upstream, port }) {
  const folder = join(BUILD, 'batching')
  mkdirSync(folder, { recursive: true })
  const file = join(folder, 'connector-config')
  const iris = { url: `http://127.0.0.1:${port}`, protocolVersion: 'v1', ...SETTINGS[name] }
  writeFileSync(file, JSON.stringify({ models: { iris }, poison: { stateFolder: join(folder, 'state') } }))
  const command = `node packages/cli/bin/inferwire.js connect -c ${file} --broker mqtt://127.0.0.1:{mqtt_port} --admin-port {admin_port}`
  const before = await upstream.call('calls')
  const run = await measure({ name: 'batching', command }, scenario, {
    seconds,
    model: { port, pid: upstream.pid },
  })
  const calls = (await upstream.call('calls')) - before
  return { ...run, perCall: run.total / calls }
}

function sectionOf(runs, { rounds, seconds }, begun) {
  const keys = new Set(runs.map(({ scenario, name }) => `${scenario}|${name}`))
  const rows = [...keys].map((key) => {
    const [scenario, name] = key.split('|')
    const of = runs.filter((run) => run.scenario === scenario && run.name === name)
    const cell = (member, digits) => median(of.map((run) => run[member])).toFixed(digits)
    const rate = median(of.map((run) => run.requestsPerSecond / partner(runs, run, of.indexOf(run))))
    return [
      scenario,
      `\`${name}\``,
      cell('requestsPerSecond', 0),
      rate.toFixed(2),
      cell('perCall', 1),
      cell('p50Ms', 1),
      cell('p99Ms', 1),
      cell('connectorCpuMs', 0),
    ]
  })
  const disturbed = runs.filter(({ otherCores }) => otherCores > OTHER_CORES_MAX)
  const doubt =
    disturbed.length === 0
      ? ''
      : `\n\n**The machine was not idle:** in ${disturbed.length} of ${runs.length} runs, other programs used more than ${OTHER_CORES_MAX} cores (peak: ${Math.max(...disturbed.map(({ otherCores }) => otherCores))}).`
  return `## Batching

Written by \`npm run bench:batching\`; described in [README.md](README.md#batching). The model server handles one call at a
time, which takes ${PER_CALL_MS} ms plus ${PER_INSTANCE_MS} ms per instance. The ratio is the requests/s divided by the requests/s with \`off\` in
the same round.

- Date: ${begun.toISOString().slice(0, 10)}
- Machine: ${describeMachine({ withNginx: false })}
- ${rounds} rounds, ${seconds} s per run after 1 s of warm-up, QoS 1, medians over the rounds

${table(
  [
    'in flight',
    'batching',
    'requests/s',
    'ratio to `off`',
    'requests per call',
    'p50 ms',
    'p99 ms',
    'connector CPU ms per 1000',
  ],
  rows,
)}${doubt}`
}

// Returns the requests/s of the run without batching that has the same scenario and round.
function partner(runs, { scenario }, round) {
  return runs.filter((run) => run.scenario === scenario && run.name === 'off')[round].requestsPerSecond
}

function median(values) {
  const sorted = [...values].sort((left, right) => left - right)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

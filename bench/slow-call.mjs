// `npm run bench:slow`: measures how one open call affects other requests. See README.md.
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parse } from 'yaml'
import { runCommand } from './command.mjs'
import { positive, text, whole, WRITE } from './options.mjs'
import { ROOT } from './paths.mjs'
import { prepareBroker } from './prepare.mjs'
import { CpuMeter } from './proc.mjs'
import { publishSection } from './results-section.mjs'
import { SlowCallConnector } from './slow-call-connector.mjs'
import { progress, report } from './slow-call-report.mjs'
import { startBroker } from './testbed.mjs'
import { startWorker, TYPESCRIPT } from './worker.mjs'

const OPTIONS = {
  rate: whole(1000, 'requests per second, open loop'),
  'quiet-seconds': whole(60, 'time measured without the open call'),
  seconds: whole(180, 'time measured during the open call'),
  'after-seconds': whole(30, 'time measured after the connector is killed'),
  open: whole(600, 'seconds until the model server answers the open call, past the end of the run'),
  windows: text({
    default: '65535,20',
    value: 'LIST',
    help: "values of the connector's Receive Maximum, one run for each",
    read: (list, name) => list.split(',').map((value) => positive(value, name)),
  }),
  inferwire: text({ value: 'FOLDER', help: 'a different checkout to measure, which must already be built' }),
  config: text({
    value: 'FILE',
    help: "a connector configuration (YAML) to merge into the benchmark's own",
    read: (file) => parse(readFileSync(file, 'utf8')),
  }),
  write: WRITE,
}
const WARM_UP_S = 3
// A connector that sends no answer for this long after the load has ended is stalled.
const SETTLE_QUIET_MS = 10_000
const TIMEOUT_MAX_MS = 3_600_000
const QUEUED_MAX = 10_000_000

await runCommand('npm run bench:slow --', OPTIONS, main)

async function main(values) {
  const options = resolveOptions(values)
  await prepareBroker({ noBuild: options.noBuild || options.checkout !== ROOT })
  if (!existsSync(options.cli))
    throw new Error(`"${options.cli}" does not exist. Build that checkout: npx tsc -b`)
  const begun = new Date()
  const runs = []
  for (const window of options.windows) {
    const run = await measure(window, options)
    runs.push(run)
    process.stderr.write(`${progress(run)}\n`)
  }
  publish(runs, options, begun)
}

function resolveOptions(values) {
  // The model's timeout is longer than the open call, so that the call does not end at its deadline.
  const timeoutMs = (values.open + 60) * 1000
  if (timeoutMs > TIMEOUT_MAX_MS)
    throw new Error(`--open "${values.open}": must be at most ${TIMEOUT_MAX_MS / 1000 - 60}`)
  const checkout = values.inferwire === undefined ? ROOT : resolve(values.inferwire)
  return {
    ...values,
    timeoutMs,
    checkout,
    cli: join(checkout, 'packages/cli/bin/inferwire.js'),
    mergedConfig: values.config ?? {},
  }
}

async function measure(window, options) {
  const broker = await startBroker({ max_inflight_messages: 0, max_queued_messages: QUEUED_MAX })
  const upstream = startWorker('slow-call-upstream', join(ROOT, 'bench/slow-call-upstream.mjs'))
  const load = startWorker('slow-call-load', join(ROOT, 'bench/slow-call-load.mjs'), TYPESCRIPT)
  try {
    const modelPort = await upstream.call('listen', { openMs: options.open * 1000 })
    const connector = new SlowCallConnector({ ...options, window }, broker.port, modelPort)
    await connector.start()
    try {
      await load.call('connect', { port: broker.port, rate: options.rate })
      return await runPhases({ window, options, broker, upstream, load, connector })
    } finally {
      await connector.stop()
    }
  } finally {
    await Promise.all([load, upstream].map((worker) => worker.stop()))
    await broker.stop()
  }
}

async function runPhases({ window, options, broker, upstream, load, connector }) {
  const ask = (phase, seconds) => load.call('ask', { phase, seconds })
  await ask('warm-up', WARM_UP_S)

  const pids = { connector: connector.pid, broker: broker.pid, upstream: upstream.pid, load: load.pid }
  const meter = new CpuMeter(pids)
  const quiet = await ask('quiet', options.quietSeconds)
  await load.call('open')
  const open = await ask('open', options.seconds)
  const { otherCores } = meter.read()
  const unacknowledged = await connector.metric('inferwire_unacknowledged_requests')
  const before = await upstream.call('seen')

  // The load continues while the connector is killed and restarted.
  const asking = ask('restart', options.afterSeconds)
  await connector.kill()
  await connector.start()
  const restart = await asking
  await load.call('settle', { quietMs: SETTLE_QUIET_MS })

  const after = await upstream.call('seen')
  const { phases, secondReplies, wrongAnswers, lagP99Ms } = await load.call('report')
  return {
    window,
    phases: {
      quiet: { ...quiet, ...phases.quiet },
      open: { ...open, ...phases.open },
      restart: { ...restart, ...phases.restart },
    },
    restart: {
      unacknowledged,
      redelivered: await connector.metric('inferwire_redelivered_requests_total'),
      callsAgain: after.repeated - before.repeated,
      openCalls: after.open,
      secondReplies,
    },
    wrongAnswers,
    lagP99Ms,
    otherCores,
  }
}

function publish(runs, options, begun) {
  // Omits the path given with --inferwire, because the commit identifies the version.
  const command = [
    `npm run bench:slow -- --rate ${options.rate} --quiet-seconds ${options.quietSeconds}`,
    `--seconds ${options.seconds} --after-seconds ${options.afterSeconds} --windows ${options.windows}`,
  ].join(' ')
  const config = Object.keys(options.mergedConfig).length === 0 ? [] : [options.mergedConfig]
  const section = {
    name: 'slow-call',
    title: 'Requests during a slow call',
    command,
    begun,
    checkout: options.checkout,
    settings: config.map((value) => `Configuration: \`${JSON.stringify(value)}\``),
    isWriting: options.write,
  }
  publishSection(section, report(runs))
}

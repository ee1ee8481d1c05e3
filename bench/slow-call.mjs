// `npm run bench:slow`: measures how one open call affects other requests. See README.md.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { parse } from 'yaml'
import { endChildrenWithMe } from './child.mjs'
import { positive } from './options.mjs'
import { BUILD, RESULTS, ROOT } from './paths.mjs'
import { build, describeMachine, find } from './prepare.mjs'
import { OtherPrograms } from './proc.mjs'
import { replaceSection } from './results-section.mjs'
import { SlowCallConnector } from './slow-call-connector.mjs'
import { progress, report } from './slow-call-report.mjs'
import { startBroker } from './testbed.mjs'
import { startWorker } from './worker.mjs'

const USAGE = `Usage: npm run bench:slow -- [options]

  --rate N             requests per second, open loop (default 1000)
  --quiet-seconds N    time measured without the open call (default 60)
  --seconds N          time measured during the open call (default 180)
  --after-seconds N    time measured after the connector is killed (default 30)
  --open N             seconds until the model server answers the open call (default 600, past the end of the run)
  --windows LIST       values of the connector's Receive Maximum, one run for each (default 65535,20)
  --inferwire FOLDER   a different checkout to measure, which must already be built
  --config FILE        a connector configuration (YAML) to merge into the benchmark's own
  --write              write the tables to bench/RESULTS.md
  --no-build           use the existing builds of the packages; do not run \`tsc -b\`
`
const WARM_UP_S = 3
// A connector that sends no answer for this long after the load has ended is stalled.
const SETTLE_QUIET_MS = 10_000
const TIMEOUT_MAX_MS = 3_600_000
const QUEUED_MAX = 10_000_000

endChildrenWithMe()
try {
  await main(readOptions(process.argv.slice(2)))
} catch (error) {
  process.stderr.write(`\n${error.message}\n`)
  process.exitCode = 1
}

async function main(options) {
  if (options.help) return process.stdout.write(USAGE)
  if (find('mosquitto') === undefined) {
    throw new Error('The benchmark needs mosquitto. Install: sudo apt-get install mosquitto')
  }
  if (options.isBuilding) {
    process.stderr.write('Building …\n')
    await build()
  }
  if (!existsSync(options.cli))
    throw new Error(`"${options.cli}" does not exist. Build that checkout: npx tsc -b`)
  mkdirSync(BUILD, { recursive: true })
  const begun = new Date()
  const runs = []
  for (const window of options.windows) {
    const run = await measure(window, options)
    runs.push(run)
    process.stderr.write(`${progress(run)}\n`)
  }
  const text = section(runs, options, begun)
  process.stdout.write(`\n${text}\n`)
  if (options.isWriting) {
    writeFileSync(RESULTS, replaceSection(RESULTS, 'slow-call', text))
    process.stderr.write('\nwrote bench/RESULTS.md\n')
  }
}

function readOptions(args) {
  const { values } = parseArgs({
    args,
    options: {
      rate: text('1000'),
      'quiet-seconds': text('60'),
      seconds: text('180'),
      'after-seconds': text('30'),
      open: text('600'),
      windows: text('65535,20'),
      inferwire: { type: 'string' },
      config: { type: 'string' },
      write: { type: 'boolean', default: false },
      'no-build': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const openSeconds = positive('--open', values.open)
  // The model's timeout is longer than the open call, so that the call does not end at its deadline.
  const timeoutMs = (openSeconds + 60) * 1000
  if (timeoutMs > TIMEOUT_MAX_MS)
    throw new Error(`--open "${String(values.open)}": must be at most ${TIMEOUT_MAX_MS / 1000 - 60}`)
  const checkout = values.inferwire === undefined ? ROOT : resolve(values.inferwire)
  return {
    rate: positive('--rate', values.rate),
    quietSeconds: positive('--quiet-seconds', values['quiet-seconds']),
    seconds: positive('--seconds', values.seconds),
    afterSeconds: positive('--after-seconds', values['after-seconds']),
    openSeconds,
    timeoutMs,
    windows: values.windows.split(',').map((value) => positive('--windows', value)),
    checkout,
    cli: join(checkout, 'packages/cli/bin/inferwire.js'),
    config: values.config === undefined ? {} : parse(readFileSync(values.config, 'utf8')),
    configName: values.config,
    isWriting: values.write,
    isBuilding: checkout === ROOT && !values['no-build'],
    help: values.help,
  }
}

async function measure(window, options) {
  const broker = await startBroker({ max_inflight_messages: 0, max_queued_messages: QUEUED_MAX })
  const upstream = startWorker('slow-call-upstream', join(ROOT, 'bench/slow-call-upstream.mjs'))
  const typescript = ['--conditions=source', '--import', './scripts/typescript.mjs']
  const load = startWorker('slow-call-load', join(ROOT, 'bench/slow-call-load.mjs'), typescript)
  try {
    const modelPort = await upstream.call('listen', { openMs: options.openSeconds * 1000 })
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
  const processes = () => [process.pid, connector.pid, broker.pid, upstream.pid, load.pid]
  await ask('warm-up', WARM_UP_S)

  const busy = new OtherPrograms(processes())
  const quiet = await ask('quiet', options.quietSeconds)
  await load.call('open')
  const open = await ask('open', options.seconds)
  const otherCores = busy.cores()
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

function section(runs, options, begun) {
  // Omits the path given with --inferwire, because the commit identifies the version.
  const command = [
    `npm run bench:slow -- --rate ${options.rate} --quiet-seconds ${options.quietSeconds}`,
    `--seconds ${options.seconds} --after-seconds ${options.afterSeconds} --windows ${options.windows}`,
  ].join(' ')
  const config =
    Object.keys(options.config).length === 0 ? '' : `\n- Configuration: \`${JSON.stringify(options.config)}\``
  return `## Requests during a slow call

Written by \`${command}\`; the columns are described in [README.md](README.md#requests-during-a-slow-call).

- Date: ${begun.toISOString().slice(0, 10)}; commit ${commitOf(options.checkout)}
- Machine: ${describeMachine({ withNginx: false })}${config}

${report(runs)}`
}

function commitOf(checkout) {
  const git = (...args) =>
    spawnSync('git', ['-C', checkout, ...args], { encoding: 'utf8' }).stdout?.trim() ?? ''
  const commit = git('rev-parse', '--short', 'HEAD')
  if (commit === '') return 'unknown'
  return git('status', '--porcelain', '--', 'packages') === '' ? commit : `${commit} with changes`
}

function text(value) {
  return { type: 'string', default: value }
}

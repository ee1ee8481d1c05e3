// `npm run bench:streams`: measures the latency that MQTT adds to each token of many streams, and whether the
// connector's memory stays constant. See README.md.
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { runCommand } from './command.mjs'
import { forgetState, startConnector } from './connector.mjs'
import { flag, whole, WRITE } from './options.mjs'
import { ROOT } from './paths.mjs'
import { prepareBroker } from './prepare.mjs'
import { CpuMeter, rssMb } from './proc.mjs'
import { publishSection } from './results-section.mjs'
import { inRounds } from './rounds.mjs'
import { progress, report } from './streams-report.mjs'
import { startBroker } from './testbed.mjs'
import { startWorker } from './worker.mjs'

const OPTIONS = {
  streams: whole(64, 'number of concurrent streams'),
  rate: whole(50, 'tokens per second of each stream'),
  'stream-seconds': whole(10, 'length of a stream; the next request follows when it has ended'),
  seconds: whole(30, 'measured time of each run, after 5 s of warm-up'),
  connections: whole(4, 'number of MQTT connections that share the streams'),
  together: flag('write the tokens of all streams at the same time'),
  rounds: whole(3, 'number of rounds'),
  write: WRITE,
}
const NAME = 'streams'
const WARM_UP_S = 5
// Direct streams do not use the connector, so a long run, which shows its memory, needs no long baseline.
const DIRECT_SECONDS_MAX = 60
const SAMPLE_MS = 1000
// The connector acknowledges a request shortly after the client has received the end of the stream.
const SETTLE_MS = 10_000

await runCommand('npm run bench:streams --', OPTIONS, main)

async function main(options) {
  await prepareBroker(options)
  const begun = new Date()
  const runs = []
  for (const { round, contender: path } of inRounds({ ...options, contenders: ['direct', 'mqtt'] })) {
    const run = { round, path, ...(await measure(path, options)) }
    runs.push(run)
    process.stderr.write(`${progress(run)}\n`)
  }
  publish(runs, options, begun)
}

async function measure(path, options) {
  const upstream = startWorker('streams-upstream', join(ROOT, 'bench/streams-upstream.mjs'))
  const client = startWorker('streams-client', join(ROOT, 'bench/streams-client.mjs'))
  try {
    const { rate, together } = options
    const httpPort = await upstream.call('listen', { rate, together })
    const run = { options, upstream, client, httpPort }
    return path === 'direct' ? await measureDirect(run) : await measureThroughMqtt(run)
  } finally {
    await Promise.all([client, upstream].map((process) => process.stop()))
  }
}

async function measureDirect(run) {
  const options = { ...run.options, seconds: Math.min(run.options.seconds, DIRECT_SECONDS_MAX) }
  return { ...(await readStreams({ ...run, options }, {})), leftBehind: await run.upstream.call('open') }
}

async function measureThroughMqtt(run) {
  const { options, upstream, httpPort } = run
  const broker = await startBroker()
  forgetState(NAME)
  try {
    const connector = await startConnector(NAME, connectorConfig(broker.port, httpPort, options))
    try {
      const measured = await readStreams({ ...run, mqttPort: broker.port }, { connector, broker })
      return { ...measured, leftBehind: await leftBehind(connector, upstream) }
    } finally {
      await connector.stop()
    }
  } finally {
    await broker.stop()
  }
}

function connectorConfig(mqttPort, httpPort, { streams, streamSeconds }) {
  return {
    name: 'bench',
    broker: { url: `mqtt://127.0.0.1:${mqttPort}` },
    log: { level: 'warn', format: 'json' },
    models: {
      llm: {
        url: `http://127.0.0.1:${httpPort}`,
        protocolVersion: 'openai',
        // A stream holds its call until the broker has acknowledged its end, so the next request may arrive before.
        limits: { concurrency: 2 * streams },
        stream: { timeoutMs: (streamSeconds + 60) * 1000 },
      },
    },
  }
}

async function readStreams({ options, upstream, client, httpPort, mqttPort }, { connector, broker }) {
  const { streams, rate, streamSeconds, connections, seconds } = options
  await client.call('start', { mqttPort, httpPort, streams, connections, tokens: rate * streamSeconds })
  await delay(WARM_UP_S * 1000)
  const others = connector === undefined ? {} : { connector: connector.pid, broker: broker.pid }
  const meter = new CpuMeter({ ...others, upstream: upstream.pid, client: client.pid })
  await client.call('begin')
  const rssSamplesMb = await sampleRss(connector?.pid, seconds)
  await client.call('end')
  const { spentMs, otherCores } = meter.read()
  const figures = await client.call('finish')
  const per1000 = (name) => (spentMs[name] === undefined ? undefined : (spentMs[name] / figures.parts) * 1000)
  return {
    seconds,
    ...figures,
    connectorCpuMs: per1000('connector'),
    brokerCpuMs: per1000('broker'),
    rssSamplesMb,
    otherCores,
  }
}

// Waits for the measured time. Returns the memory of the process over time; without a process, an empty list.
async function sampleRss(pid, seconds) {
  const samples = []
  const endAt = performance.now() + seconds * 1000
  for (let leftMs = seconds * 1000; leftMs > 0; leftMs = endAt - performance.now()) {
    if (pid !== undefined) samples.push(rssMb(pid))
    await delay(Math.min(SAMPLE_MS, leftMs))
  }
  return samples
}

// Returns the number of calls and requests that are still open after the end of all streams.
async function leftBehind(connector, upstream) {
  const giveUpAt = performance.now() + SETTLE_MS
  for (;;) {
    const requests = await connector.metric('inferwire_unacknowledged_requests')
    const open = requests + (await upstream.call('open'))
    if (open === 0 || performance.now() > giveUpAt) return open
    await delay(100)
  }
}

function publish(runs, options, begun) {
  const { streams, rate, streamSeconds, seconds, rounds, connections, together } = options
  const section = {
    name: NAME,
    title: 'Streams',
    command: options.commandLine,
    begun,
    settings: [
      `${streams} streams of ${rate} tokens/s, written ${together ? 'together' : 'at different times'}; each lasts ${streamSeconds} s; ${connections} MQTT connections, QoS 1`,
      `${rounds} rounds, ${seconds} s per run after ${WARM_UP_S} s of warm-up`,
    ],
    isWriting: options.write,
  }
  publishSection(section, report(runs, options))
}

// `npm run bench:tensors`: compares the costs of a tensor as JSON, as binary, and over gRPC. See README.md.
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { runCommand } from './command.mjs'
import { forgetState, startConnector } from './connector.mjs'
import { text, whole, WRITE } from './options.mjs'
import { ROOT } from './paths.mjs'
import { prepareBroker } from './prepare.mjs'
import { CpuMeter } from './proc.mjs'
import { publishSection } from './results-section.mjs'
import { inRounds } from './rounds.mjs'
import { CASES, progress, report } from './tensors-report.mjs'
import { startBroker } from './testbed.mjs'
import { startWorker, TYPESCRIPT } from './worker.mjs'

const OPTIONS = {
  rounds: whole(3, 'number of rounds'),
  seconds: whole(5, 'measured time of each run, after 3 s of warm-up'),
  cases: text({
    value: 'LIST',
    default: Object.keys(CASES).join(','),
    help: 'cases to measure',
    read: readCases,
  }),
  write: WRITE,
}
const NAME = 'tensors'
const WARM_UP_S = 3
/** The tensors of the cases. The bodies of a small tensor have about 256 bytes, as JSON and as binary. */
const SIZES = {
  large: { shape: [1, 3, 224, 224], inflight: 8 },
  small: { shape: [1, 29], inflight: 32 },
}
// Larger than the tensor as JSON. Some versions of Mosquitto have a lower default.
const BROKER = { max_packet_size: 50_000_000 }

await runCommand('npm run bench:tensors --', OPTIONS, main)

function readCases(list, name) {
  const names = list.split(',')
  const unknown = names.find((one) => !Object.hasOwn(CASES, one))
  if (unknown === undefined) return names
  throw new Error(`${name} "${unknown}": expected one of ${Object.keys(CASES).join(', ')}`)
}

async function main(options) {
  await prepareBroker(options)
  const begun = new Date()
  const runs = []
  for (const { round, contender: name } of inRounds({ ...options, contenders: options.cases })) {
    const run = { round, name, ...(await measure(CASES[name], options)) }
    runs.push(run)
    process.stderr.write(`${progress(run)}\n`)
  }
  publish(runs, options, begun)
}

async function measure(what, { seconds }) {
  const broker = await startBroker(BROKER)
  const upstream = startWorker('tensors-upstream', join(ROOT, 'bench/tensors-upstream.mjs'), TYPESCRIPT)
  const client = startWorker('tensors-client', join(ROOT, 'bench/tensors-client.mjs'))
  forgetState(NAME)
  try {
    const ports = await upstream.call('listen')
    const connector = await startConnector(NAME, connectorConfig(broker.port, ports, what))
    try {
      return await load({ connector, broker, upstream, client }, what, seconds)
    } finally {
      await connector.stop()
    }
  } finally {
    await Promise.all([client, upstream].map((worker) => worker.stop()))
    await broker.stop()
  }
}

function connectorConfig(mqttPort, ports, { protocolVersion }) {
  const port = protocolVersion === 'grpc-v2' ? ports.grpc : ports.http
  return {
    name: 'bench',
    broker: { url: `mqtt://127.0.0.1:${mqttPort}` },
    log: { level: 'warn', format: 'json' },
    models: { tensors: { url: `http://127.0.0.1:${port}`, protocolVersion } },
  }
}

async function load({ client, ...servers }, { size, encoding }, seconds) {
  const processes = { client, ...servers }
  const port = servers.broker.port
  const requestBytes = await client.call('start', { port, model: 'tensors', encoding, ...SIZES[size] })
  await delay(WARM_UP_S * 1000)
  const pids = Object.entries(processes).map(([name, { pid }]) => [name, pid])
  const meter = new CpuMeter(Object.fromEntries(pids))
  await client.call('begin')
  const beganAt = performance.now()
  await delay(seconds * 1000)
  await client.call('end')
  const tookMs = performance.now() - beganAt
  const { spentMs, otherCores } = meter.read()
  const figures = await client.call('finish')
  const { answers, firstError } = figures
  if (answers === 0) throw new Error(`No answer in ${seconds} s of load. ${firstError ?? ''}`)
  const cpuMs = Object.fromEntries(pids.map(([name]) => [name, (spentMs[name] / answers) * 1000]))
  const endToEnd = Object.values(cpuMs).reduce((sum, ms) => sum + ms, 0)
  return {
    ...figures,
    requestsPerSecond: (answers / tookMs) * 1000,
    cpuMs: { ...cpuMs, endToEnd },
    requestBytes,
    otherCores,
  }
}

function publish(runs, { commandLine, rounds, seconds, write }, begun) {
  const section = {
    name: NAME,
    title: 'Tensors',
    command: commandLine,
    begun,
    settings: [
      `large: ${SIZES.large.shape.join('x')} FP32, ${SIZES.large.inflight} requests in flight; small: ${SIZES.small.shape.join('x')} FP32, ${SIZES.small.inflight} in flight`,
      `${rounds} rounds, ${seconds} s per run after ${WARM_UP_S} s of warm-up, QoS 1, medians over the rounds`,
    ],
    isWriting: write,
  }
  publishSection(section, report(runs))
}

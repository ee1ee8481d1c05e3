// Measures one run: a new broker, one connector, one scenario.
import { join } from 'node:path'
import { output, start } from './child.mjs'
import { commandLine } from './contender.mjs'
import { openProbe } from './first-answer.mjs'
import { BUILD } from './paths.mjs'
import { cpuMs, machineCpuMs, peakRssMb } from './proc.mjs'
import { freePort, startBroker } from './testbed.mjs'
import { untilReady } from './until-ready.mjs'

const QOS = 1
const WARM_UP_S = 1
const START_MS = 30_000

/**
 * @param {{ name: string, command: string }} contender
 * @param {{ inflight: number, bodyBytes: number }} scenario
 * @param {{ seconds: number, model: { port: number, pid: number, calls?: () => Promise<number> } }} options `calls`
 *   returns the number of calls to the model so far
 * @returns rate and latency of the answers, CPU time per 1000 answers, memory use and start-up times; `answersPerCall`
 *   only with `calls`; `window` is the start and the end of the measured time, in microseconds of the monotonic clock
 */
export async function measure(contender, scenario, { seconds, model }) {
  const broker = await startBroker()
  try {
    const ports = { mqtt_port: broker.port, http_port: model.port, admin_port: await freePort() }
    const probe = await openProbe(broker.port)
    const startedAt = performance.now()
    const connector = start(contender.name, ...commandLine(contender.command, ports))
    try {
      const adminPort = contender.command.includes('{admin_port}') ? ports.admin_port : undefined
      const started = await untilStarted({ probe, connector, adminPort, startedAt, name: contender.name })
      const loaded = await load({ connector, broker, model, scenario, seconds })
      return { ...loaded, peakRssMb: round(peakRssMb(connector.pid), 1), ...started }
    } finally {
      await connector.stop()
    }
  } finally {
    await broker.stop()
  }
}

async function untilStarted({ probe, connector, adminPort, startedAt, name }) {
  const giveUp = new AbortController()
  const timer = setTimeout(() => giveUp.abort(), START_MS)
  const ended = connector.exited.then((how) => {
    giveUp.abort()
    throw new Error(how)
  })
  try {
    const both = Promise.all([
      probe.firstAnswer(giveUp.signal),
      adminPort === undefined ? null : untilReady(adminPort, giveUp.signal),
    ])
    const [answeredAt, readyAt] = await Promise.race([both, ended])
    return {
      firstAnswerMs: round(answeredAt - startedAt, 1),
      readyMs: readyAt === null ? null : round(readyAt - startedAt, 1),
    }
  } catch (error) {
    throw new Error(`"${name}" did not start: ${error.message}. Its output:\n${connector.logTail()}`, {
      cause: error,
    })
  } finally {
    clearTimeout(timer)
    giveUp.abort()
    ended.catch(() => {}) // From here on, an exit is not an error, because the connector is stopped deliberately.
  }
}

async function load({ connector, broker, model, scenario, seconds }) {
  const take = () => ({
    at: performance.now(),
    connector: cpuMs(connector.pid),
    broker: cpuMs(broker.pid),
    model: cpuMs(model.pid),
    machine: machineCpuMs(),
    harness: process.cpuUsage(),
  })
  const windowFrom = monotonicUs() + WARM_UP_S * 1e6
  const callsBefore = await model.calls?.()
  const before = take()
  const text = await output(join(BUILD, 'load'), [
    ...['127.0.0.1', broker.port, QOS, scenario.inflight, seconds, scenario.bodyBytes].map(String),
    ...['5', WARM_UP_S, 'iris'].map(String),
  ])
  const after = take()
  const callsAfter = await model.calls?.()
  const { rps, p50_ms, p99_ms, n, total, bad, cpu_ms } = JSON.parse(text)
  if (n === 0) throw new Error(`No correct answer in ${seconds} s of load (${bad} wrong answers).`)
  const spent = (who) => after[who] - before[who]
  const { user, system } = process.cpuUsage(before.harness)
  const ours = spent('connector') + spent('broker') + spent('model') + cpu_ms + (user + system) / 1000
  return {
    requestsPerSecond: rps,
    p50Ms: p50_ms,
    p99Ms: p99_ms,
    answers: n,
    total,
    wrongAnswers: bad,
    ...(model.calls === undefined ? {} : { answersPerCall: total / (callsAfter - callsBefore) }),
    connectorCpuMs: round((spent('connector') / total) * 1000, 1),
    brokerCpuMs: round((spent('broker') / total) * 1000, 1),
    modelCpuMs: round((spent('model') / total) * 1000, 1),
    // Number of cores that other programs use: a busy machine invalidates the measurements.
    otherCores: round(Math.max(0, (spent('machine') - ours) / (after.at - before.at)), 2),
    window: [windowFrom, monotonicUs()],
  }
}

// Reads CLOCK_MONOTONIC, which V8 also uses for the timestamps in its profiles.
function monotonicUs() {
  return Number(process.hrtime.bigint() / 1000n)
}

function round(value, digits) {
  return Number(value.toFixed(digits))
}

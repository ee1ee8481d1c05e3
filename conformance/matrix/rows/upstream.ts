// Rows with model servers that hang, or whose answers are cut off, invalid or endless, and with one that dies and
// returns.
import { HOSTILE_MODELS } from '../../rig/model-behaviours.ts'
import { FlowLoad, type Flow } from '../../rig/flow-load.ts'
import { amountOf, Findings, type Row, type RowOptions } from '../row.ts'
import { onStage, pause, until } from '../stage.ts'
import { ModelServerProcess } from '../../rig/model-server-process.ts'
import { startWorld, type WorldOptions } from '../world.ts'

const TIMEOUT_MS = 1_500
const GRACE_MS = 100
// Names from rig/model-behaviours.ts.
const MISDEEDS = [
  'hang',
  'reset',
  'cut',
  'garbage',
  'long-length',
  'short-length',
  'trickle',
  'endless',
  'redirect',
  'redirect307',
  'html200',
  'plain500',
  'nohealthy',
  'nojson',
  'bigheaders',
] as const
const BOMBS = ['endless', 'bigheaders'] as const
const HOSTILE_BOMBS = [
  'endless-headers',
  'endless-1xx',
  'endless-body',
  'endless-chunks',
  'deep-json',
] as const
// Valid JSON, which the connector forwards without parsing it.
const MAY_BE_ANSWERED: readonly string[] = ['deep-json']

/** Tests all misbehaviours at once, with circuit breakers disabled, so that every request reaches the server. */
export const upstreamMisbehaves: Row = {
  name: 'upstream-misbehaves',
  what: `a model server misbehaves in ${MISDEEDS.length + HOSTILE_MODELS.length + 1} ways; 50 requests for each`,
  criterion: `every request receives a typed error within the deadline (${TIMEOUT_MS} ms) + ${GRACE_MS} ms; retries <= 10 % + 3/s; 0 unanswered requests`,
  fullSeconds: 40,
  isTimed: true,
  run: (options) =>
    play({ misdeeds: MISDEEDS, hostilities: HOSTILE_MODELS, withTls: true, full: 50 }, options),
}

/** Tests answers that try to exhaust the memory. */
export const bombs: Row = {
  name: 'bombs',
  what: '10 GB of body, chunks, header fields or 1xx, or JSON 400,000 levels deep; a healthy model runs as well',
  criterion:
    'typed errors by the deadline; the process survives; memory grows by at most 64 MB; requests to the healthy model are answered',
  fullSeconds: 40,
  isTimed: true,
  run: (options) => play({ misdeeds: BOMBS, hostilities: HOSTILE_BOMBS, withTls: false, full: 200 }, options),
}

interface Play {
  readonly misdeeds: readonly string[]
  readonly hostilities: readonly string[]
  readonly withTls: boolean
  /** Number of requests for each misbehaviour in a full run. */
  readonly full: number
}

function play({ misdeeds, hostilities, withTls, full }: Play, options: RowOptions) {
  return onStage(async (stage) => {
    const { say } = options
    const count = amountOf(options, full, 10)
    const findings = new Findings()
    const hostile = await ModelServerProcess.start({ hasExpiredTls: true })
    stage.later(() => hostile.end())
    const bounds = {
      timeoutMs: TIMEOUT_MS,
      circuit: { failuresMax: 0 },
      limits: { responseBytesMax: 1_048_576, concurrency: 16 },
    }
    const models: WorldOptions['models'] = Object.fromEntries([
      ['iris', {}],
      ...misdeeds.map((name) => [name, bounds] as const),
      ...hostilities.map((name) => [name, { ...bounds, url: `http://127.0.0.1:${hostile.port}` }] as const),
      ...(withTls
        ? [
            [
              'expired',
              { ...bounds, url: `https://127.0.0.1:${hostile.tlsPort}`, tls: { caFile: hostile.caFile } },
            ] as const,
          ]
        : []),
    ])
    const { broker, upstream, connector } = await startWorld(stage, { models })
    const names = Object.keys(models).filter((name) => name !== 'iris')
    const perSecond = Math.max(2, count / 10)
    const flows: Flow[] = ['iris', ...names].map((model) => ({
      name: model,
      clients: [`cam-${model}`],
      model,
      perSecond,
    }))
    const load = await FlowLoad.start({ port: broker.port, flows })
    stage.later(() => load.close())
    // Warms up: the first request of a process is slower.
    for (const index of flows.keys()) load.send(index)
    await load.settle()
    connector.resetPeak()
    const beforeMb = connector.memory().rssMb
    const askingMs = (count / perSecond) * 1000
    const phase = await load.runFor(askingMs)
    await load.settle()
    const seconds = (performance.now() - connector.startedAtMs) / 1000

    let slowestMs = 0
    let retries = 0
    for (const name of names) {
      const report = load.report(name, phase)
      const calls = hostilities.includes(name)
        ? await hostile.calls(name)
        : name === 'expired'
          ? 0
          : await upstream.calls(name)
      const extra = Math.max(0, calls - report.requests - 1)
      retries += extra
      slowestMs = Math.max(slowestMs, report.maxMs)
      say(
        `${name}: ${JSON.stringify(report.errors)}, ${report.ok} ok, p50 ${report.errorP50Ms.toFixed(0)} ms, slowest ${report.maxMs.toFixed(0)} ms, ${extra} retries`,
      )
      findings.check(
        report.ok === 0 || MAY_BE_ANSWERED.includes(name),
        `${name}: ${report.ok} requests were answered with 200`,
      )
      findings.checkTime(
        report.maxMs <= TIMEOUT_MS + GRACE_MS,
        `${name}: the slowest error took ${report.maxMs.toFixed(0)} ms`,
      )
      findings.check(
        extra <= report.requests / 10 + 3 * seconds,
        `${name}: ${extra} retries for ${report.requests} requests`,
      )
    }
    const healthy = load.report('iris', phase)
    const { peakMb } = connector.memory()
    findings.figure('ways', names.length)
    findings.ran('requests_each', count, full)
    findings.figure('requests', load.sent)
    findings.figure('slowest_error_ms', slowestMs)
    findings.figure('retries', retries)
    findings.figure('healthy_ok', `${healthy.ok} of ${healthy.requests}`)
    findings.figure('healthy_p99_ms', healthy.okP99Ms)
    findings.figure('rss_growth_mb', peakMb - beforeMb)
    findings.figure('unanswered', load.unanswered)
    findings.check(load.unanswered === 0, `${load.unanswered} requests are unanswered`)
    findings.check(
      healthy.ok === healthy.requests,
      `the healthy model answered ${healthy.ok} of ${healthy.requests}`,
    )
    findings.check(peakMb - beforeMb <= 64, `memory grew by ${(peakMb - beforeMb).toFixed(0)} MB`)
    findings.check(connector.deaths.length === 0, connector.deaths.join('; '))
    return findings.result
  })
}

/** Tests a model server that dies under load and returns. */
export const upstreamDies: Row = {
  name: 'upstream-dies',
  what: 'the model server dies under load (200 requests/s) and returns after 4 s',
  criterion:
    'the circuit opens in < 1 s and closes < 2 s after the return; typed errors only; retries <= 10 % + 3/s; 0 unanswered requests',
  fullSeconds: 300,
  isTimed: true,
  run: (options) =>
    onStage(async (stage) => {
      const { say } = options
      const findings = new Findings()
      const { broker, upstream, connector } = await startWorld(stage, { models: { iris: {} } })
      const flow = { name: 'all', clients: ['cam-1', 'cam-2'], model: 'iris', perSecond: 200 }
      const load = await FlowLoad.start({ port: broker.port, flows: [flow] })
      stage.later(() => load.close())
      const startedAtMs = performance.now()
      load.begin()
      await until(() => load.answered > 100, 10_000)
      let openedMs = 0
      let closedMs = 0
      const times = amountOf(options, 50, 3)
      for (let time = 1; time <= times; time++) {
        const diedAtMs = Date.now()
        await upstream.stopListening()
        await until(() => connector.count('circuit_opened') >= time, 10_000, 2)
        openedMs = Math.max(
          openedMs,
          (connector.lines('circuit_opened').at(-1)?.readAtMs ?? Infinity) - diedAtMs,
        )
        await pause(4_000)
        const healthyAtMs = Date.now()
        await upstream.listenAgain()
        await until(() => connector.count('circuit_closed') >= time, 10_000, 2)
        closedMs = Math.max(
          closedMs,
          (connector.lines('circuit_closed').at(-1)?.readAtMs ?? Infinity) - healthyAtMs,
        )
        say(`${time} of ${times}: the circuit opened after ${openedMs} ms and closed within ${closedMs} ms`)
        await pause(500)
      }
      load.stop()
      await load.settle()
      const seconds = (performance.now() - startedAtMs) / 1000
      const report = load.report()
      const retries = await connector.metric('inferwire_upstream_retries_total')
      const opens = await connector.metric('inferwire_upstream_circuit_opens_total')
      findings.ran('times', times, 50)
      findings.figure('requests', report.requests)
      findings.figure('opened_max_ms', openedMs)
      findings.figure('recovered_max_ms', closedMs)
      findings.figure('retries', retries)
      findings.figure('errors', JSON.stringify(report.errors))
      findings.figure('unanswered', report.unanswered)
      findings.check(opens === times, `the circuit opened ${opens} times`)
      findings.checkTime(openedMs < 1_000, `the circuit opened after ${openedMs} ms`)
      findings.checkTime(closedMs < 2_000, `the circuit closed after ${closedMs} ms`)
      findings.check(retries <= report.requests / 10 + 3 * seconds, `${retries} retries`)
      findings.check(report.unanswered === 0, `${report.unanswered} requests are unanswered`)
      const others = Object.keys(report.errors).filter(
        (code) => !['circuit_open', 'upstream_unreachable'].includes(code),
      )
      findings.check(others.length === 0, `other errors: ${others.join(', ')}`)
      return findings.result
    }),
}

// One run: starts all programs, sends requests while the schedule is executed, and judges the ledger.
import {
  ACK_HOLD_MAX_MS,
  BROKER_SETTINGS,
  CONNECTOR_NAME,
  createConnector,
  startBroker,
  versionOf,
} from './actors.ts'
import { FaultRunner } from './fault-runner.ts'
import { Ledger } from './ledger.ts'
import { ChaosLoad } from './load.ts'
import { ProcessMeter } from '../rig/process-meter.ts'
import { Proxy } from '../rig/proxy.ts'
import { clientOf, levelsOf, clientName, MODELS, numberOf, pairOf } from './request-shape.ts'
import type { ChaosResult } from './result.ts'
import type { Fault } from './schedule.ts'
import { summarizeFaults } from './summary.ts'
import { WireTap } from './tap.ts'
import { ChaosModelServer } from './model-server.ts'
import { judge } from './verdict.ts'

/** Options of a run. */
export interface ChaosOptions {
  readonly schedule: readonly Fault[]
  readonly requests: number
  /** Maximum rate; a lower rate is used if all requests would otherwise be sent before the last fault. @default 1000 */
  readonly requestsPerSecond?: number
  /** Name of a planted bug. @default none */
  readonly plant?: string | undefined
  /** Whether the connector looks for poison after a kill. @default true, as in the connector */
  readonly looksForPoison?: boolean
  /** Stops sending after this time, in milliseconds. @default no limit */
  readonly durationMs?: number | undefined
  /** Stops at the first detection. @default false */
  readonly stopWhenDetected?: boolean
  /** Time without any answer after which the open requests count as unanswered, in milliseconds. @default 15000 */
  readonly quietMs?: number
  /** Number of raw clients; must be even, because clients come in pairs. @default 40 */
  readonly rawClients?: number
  /** Number of SDK clients; must be even. @default 4 */
  readonly sdkClients?: number
  /** Maximum number of unanswered requests. @default 200 */
  readonly inFlightMax?: number
  /** Called every 10 s with a line that describes the progress. */
  readonly progress?: (line: string) => void
}

// Minimum rate in requests per second: a fault that occurs without load proves little.
const RATE_MIN = 50
const PROGRESS_MS = 10_000

/** Makes a chaos run. Resolves with the result after all started programs have ended. */
export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  const { requests, rawClients = 40, sdkClients = 4, inFlightMax = 200, looksForPoison = true } = options
  const rateMax = options.requestsPerSecond ?? 1000
  const lastFaultMs = options.durationMs ?? options.schedule.at(-1)?.atMs ?? 0
  const clients = rawClients + sdkClients
  const ledger = new Ledger(requests + 2)
  const broker = await startBroker()
  const upstream = await ChaosModelServer.start((number) => ledger.called(number))
  const clientNetwork = await Proxy.start(broker.port)
  const upstreamNetwork = await Proxy.start(upstream.port)
  const tap = await WireTap.start(broker.port, {
    requestRoots: ['infer/request/'],
    replyRoots: ['infer/reply/'],
    ackHoldMaxMs: ACK_HOLD_MAX_MS,
    ownTopics: [`infer/status/${CONNECTOR_NAME}`, ...MODELS.map(({ name }) => `infer/models/${name}`)],
    onReplyTaken: (topic, correlation, atMs) => {
      const number = numberOfReply(topic, correlation, clients)
      if (number !== undefined && number < requests) ledger.replyTaken(number, atMs)
    },
  })
  const connector = await createConnector(tap.url, upstreamNetwork.port, {
    plant: options.plant,
    looksForPoison,
  })
  const load = new ChaosLoad({
    ledger,
    port: clientNetwork.port,
    requests,
    rawClients,
    sdkClients,
    inFlightMax,
  })
  const runner = new FaultRunner(
    { broker, connector, upstream, connectorNetwork: tap.proxy, clientNetwork, upstreamNetwork },
    ledger,
  )
  load.onFirstReply = (atMs, publishedAtMs) => runner.replied(atMs, publishedAtMs)
  const meter = new ProcessMeter({
    main: () => process.pid,
    broker: () => broker.pid,
    connector: () => connector.pid,
    upstream: () => upstream.pid,
  })
  try {
    await connector.startReady()
    await load.start()
    const startedAtMs = Date.now()
    let detectedAfterMs: number | undefined
    const look = (): boolean => {
      const isProven =
        tap.violations.length > 0 || ledger.wrongReplies.length > 0 || connector.deaths.length > 0
      if (isProven) detectedAfterMs ??= Date.now() - startedAtMs
      return isProven && options.stopWhenDetected === true
    }
    const progress = (): string =>
      `${((Date.now() - startedAtMs) / 1000).toFixed(0)} s: ${ledger.count} sent, ${ledger.answered} answered, ${load.unanswered} open, ${ledger.faults.length} faults (${runner.left} left), ${ledger.crossed} crossed, ${ledger.phantom} phantom, ${ledger.altered + ledger.gap} altered, ${tap.violations.length} violations, ${connector.deaths.length} deaths`
    const ticker = setInterval(() => options.progress?.(progress()), PROGRESS_MS)
    meter.start()
    const pace = (): void => {
      const secondsLeft = Math.max(1, (lastFaultMs - (Date.now() - startedAtMs)) / 1000)
      load.requestsPerSecond = Math.min(rateMax, Math.max(RATE_MIN, load.left / secondsLeft))
    }
    pace()
    load.begin()
    runner.start(options.schedule)
    const until =
      options.durationMs === undefined ? Number.POSITIVE_INFINITY : startedAtMs + options.durationMs
    while (!look() && Date.now() < until && !(load.isDone && runner.left === 0)) {
      await new Promise((resolve) => setTimeout(resolve, 50))
      pace()
    }
    load.stop()
    const sentForMs = Date.now() - startedAtMs
    const { cpu, peakRssMb } = meter.stop()
    await runner.stop()
    await load.settle(options.quietMs ?? 15_000, look)
    clearInterval(ticker)
    await upstream.flush()
    const verdict = judge({ ledger, violations: tap.violations, isCutShort: look() })
    const hasFailed = verdict.hasFailed || connector.deaths.length > 0
    if (hasFailed) detectedAfterMs ??= Date.now() - startedAtMs
    options.progress?.(progress())
    return {
      verdict,
      deaths: connector.deaths,
      hasFailed,
      faults: summarizeFaults(ledger),
      faultRecords: ledger.faults,
      seen: { ...tap.seen },
      sessionsLost: connector.count('session_lost'),
      badExits: runner.badExits,
      strangers: upstream.strangers,
      sharedCalls: upstream.shared,
      streams: upstream.streams,
      seconds: sentForMs / 1000,
      requestsPerSecond: Math.round(verdict.requests / (sentForMs / 1000)),
      broker: { version: versionOf(broker), settings: BROKER_SETTINGS },
      load: { rawClients, sdkClients, inFlightMax, requestsPerSecondMax: rateMax, looksForPoison },
      cpu,
      peakRssMb,
      detectedAfterMs,
    }
  } finally {
    meter.stop()
    await runner.stop()
    await load.close()
    await connector.end('SIGKILL')
    await tap.close()
    await clientNetwork.close()
    await upstreamNetwork.close()
    await upstream.end()
    await broker.stop('SIGKILL')
  }
}

// Returns the request that a reply on the wire belongs to; undefined for an SDK request, whose Correlation Data the
// SDK has chosen.
function numberOfReply(topic: string, correlation: string, clients: number): number | undefined {
  const pair = pairOf(correlation)
  const client = /^infer\/reply\/chaos-(\d+)\//.exec(topic)?.[1]
  if (pair === undefined || client === undefined) return undefined
  const number = numberOf(pair, Number(client))
  const isRight = clientOf(number, clients) === Number(client)
  return isRight && topic === `infer/reply/${clientName(Number(client))}/${levelsOf(number)}`
    ? number
    : undefined
}

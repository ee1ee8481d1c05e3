// Rows with a load of ten times the model's capacity.
import { PUBLISHES_DROPS, watchDrops } from '../broker-drops.ts'
import { amountOf, Findings, type Row, type RowOptions, type RowResult } from '../row.ts'
import { startWorld, watchCpu } from '../world.ts'
import { FlowLoad } from '../../rig/flow-load.ts'
import { onStage } from '../stage.ts'

// Four concurrent calls of 20 ms each result in a capacity slightly below 200 requests per second.
const MODEL = 'slow-20'
const CONCURRENCY = 4
const NOMINAL = 200
const CLIENTS = Array.from({ length: 40 }, (_, index) => `cam-${index}`)

const CRITERION =
  'goodput >= 90 % of the capacity; every rejected request is answered, p99 < 100 ms; p99 of accepted requests <= 3 times that without overload; memory <= 1.5 times that without overload; 0 unanswered requests, 0 crossed replies, 0 messages dropped by the broker'

const THREE_TIMES_QUIET = (quietMs: number): number => 3 * quietMs

/**
 * The queue depth equals the concurrency. With a queue depth of 16, the row misses the criterion: the p99 is
 * 5 times the p99 without overload.
 */
export const overload: Row = {
  name: 'overload-10x',
  what: 'ten times the capacity (2,000 requests/s for a model that answers 200/s), with a queue of 4',
  criterion: CRITERION,
  fullSeconds: 700,
  isTimed: true,
  run: (options) => run({ concurrency: CONCURRENCY, queueDepthMax: CONCURRENCY }, THREE_TIMES_QUIET, options),
}

/** Like `overload`, but with the default queue: only the concurrency is configured. */
export const overloadWithDefaults: Row = {
  ...overload,
  name: 'overload-10x-defaults',
  what: 'like overload-10x, but with the default queue, which is limited by waiting time (queueWaitMaxMs, 5 s) instead of a small depth',
  criterion: CRITERION.replace('<= 3 times that without overload; memory', '<= 6 s; memory'),
  run: (options) => run({ concurrency: CONCURRENCY }, () => 6_000, options),
}

function run(
  limits: { readonly concurrency: number; readonly queueDepthMax?: number },
  okP99MaxMs: (quietMs: number) => number,
  options: RowOptions,
): Promise<RowResult> {
  return onStage(async (stage) => {
    const { say } = options
    const seconds = amountOf(options, 600, 8)
    const findings = new Findings()
    const world = await startWorld(stage, {
      models: { [MODEL]: { limits } },
      broker: { config: PUBLISHES_DROPS },
    })
    const { broker, connector } = world
    const dropsSoFar = await watchDrops(stage, broker)
    const flow = { name: 'all', clients: CLIENTS, model: MODEL, perSecond: 1.2 * NOMINAL }
    const load = await FlowLoad.start({ port: broker.port, flows: [flow] })
    stage.later(() => load.close())

    const capacityPhase = await load.runFor(amountOf(options, 20, 3) * 1000)
    await load.settle()
    const capacity = load.report('all', capacityPhase).goodput
    say(`capacity ${capacity.toFixed(0)} requests/s`)

    flow.perSecond = 0.8 * capacity
    connector.resetPeak()
    const quietPhase = await load.runFor(amountOf(options, 60, 5) * 1000)
    await load.settle()
    const quiet = load.report('all', quietPhase)
    const quietMb = connector.memory().peakMb
    say(`without overload: p99 ${quiet.okP99Ms.toFixed(0)} ms, ${quietMb.toFixed(0)} MB`)

    flow.perSecond = 10 * capacity
    connector.resetPeak()
    const tellCpu = watchCpu(stage, world)
    const loudPhase = await load.runFor(seconds * 1000)
    tellCpu(findings)
    await load.settle(40_000)
    const loud = load.report('all', loudPhase)
    const loudMb = connector.memory().peakMb

    const goodputRatio = loud.goodput / capacity
    findings.ran('seconds', seconds, 600)
    findings.figure('capacity_per_s', capacity)
    findings.figure('requests', loud.requests)
    findings.figure('goodput_ratio', goodputRatio)
    findings.figure('rejected', loud.errors['overloaded'] ?? 0)
    findings.figure('rejected_p99_ms', loud.errorP99Ms)
    findings.figure('accepted_p50_ms', loud.okP50Ms)
    findings.figure('accepted_p99_ms', loud.okP99Ms)
    findings.figure('quiet_p50_ms', quiet.okP50Ms)
    findings.figure('quiet_p99_ms', quiet.okP99Ms)
    findings.figure('rss_peak_mb', loudMb)
    findings.figure('rss_ratio', loudMb / quietMb)
    findings.figure('unanswered', load.unanswered)
    const dropped = await dropsSoFar()
    findings.figure('broker_drops', dropped)
    findings.check(dropped === 0, `the broker dropped ${dropped} messages`)
    findings.figure('crossed', load.crossed + load.phantom)
    findings.figure('generator_lag_p99_ms', load.lagP99Ms)
    findings.checkTime(goodputRatio >= 0.9, `goodput is ${(goodputRatio * 100).toFixed(0)} % of the capacity`)
    findings.checkTime(loud.errorP99Ms < 100, `p99 of rejected requests is ${loud.errorP99Ms.toFixed(0)} ms`)
    findings.checkTime(
      loud.okP99Ms <= okP99MaxMs(quiet.okP99Ms),
      `p99 of accepted requests is ${loud.okP99Ms.toFixed(0)} ms; without overload, it was ${quiet.okP99Ms.toFixed(0)} ms`,
    )
    findings.check(
      loudMb <= 1.5 * quietMb,
      `memory is ${(loudMb / quietMb).toFixed(2)} times that without overload`,
    )
    findings.check(load.unanswered === 0, `${load.unanswered} requests are unanswered`)
    findings.check(load.crossed + load.phantom === 0, 'crossed or phantom replies')
    const others = Object.keys(loud.errors).filter((code) => code !== 'overloaded')
    findings.check(others.length === 0, `errors other than overloaded: ${others.join(', ')}`)
    return findings.result
  })
}

// The figures of a run by kind of fault, and the report that a person reads.
import type { BrokerKill } from './broker-kills.ts'
import type { FaultRecord, Ledger } from './ledger.ts'
import type { ChaosResult } from './run.ts'

/** Recovery: from the end of a fault to the first answer to what was asked after it, in milliseconds. */
export interface Recovery {
  readonly count: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

/** What the faults of one kind cost. Calls and replies beyond the first are put down to the last fault before them. */
export interface KindFigures {
  readonly faults: number
  /** Undefined when nothing was answered after any of them. */
  readonly recovery: Recovery | undefined
  readonly extraCalls: number
  readonly duplicateReplies: number
}

/** What the faults cost. */
export interface FaultSummary {
  readonly total: number
  readonly byKind: Readonly<Record<string, KindFigures>>
  /** Calls and replies beyond the first, with no fault before them for so long that one could be the reason. */
  readonly withoutFault: { readonly extraCalls: number; readonly duplicateReplies: number }
}

/** Of the book: what is counted here. */
export type Costs = Pick<Ledger, 'faults' | 'extraCallTimes' | 'duplicateTimes'>

// The longest fault, a restart, and what comes again after it.
const CAUSE_WITHIN_MS = 15_000

/** Counts by kind. */
export function summarizeFaults({ faults, extraCallTimes, duplicateTimes }: Costs): FaultSummary {
  const inOrder = faults.toSorted((one, other) => one.startedAtMs - other.startedAtMs)
  const extraCalls = countByCause(inOrder, extraCallTimes)
  const duplicateReplies = countByCause(inOrder, duplicateTimes)
  const kinds = [...new Set(faults.map(({ kind }) => kind))].sort()
  const byKind = kinds.map((kind) => {
    const own = faults.filter((fault) => fault.kind === kind)
    const figures: KindFigures = {
      faults: own.length,
      recovery: recoveryOf(own),
      extraCalls: extraCalls.get(kind) ?? 0,
      duplicateReplies: duplicateReplies.get(kind) ?? 0,
    }
    return [kind, figures] as const
  })
  return {
    total: faults.length,
    byKind: Object.fromEntries(byKind),
    withoutFault: {
      extraCalls: extraCalls.get(undefined) ?? 0,
      duplicateReplies: duplicateReplies.get(undefined) ?? 0,
    },
  }
}

/** Rounded to hundredths. */
export function perFault(count: number, faults: number): number {
  return faults === 0 ? 0 : Math.round((count / faults) * 100) / 100
}

/** What was violated, by which request, and how to see it again. `replay` is the command. */
export function report(result: ChaosResult, replay: string): string {
  const { verdict, deaths, faults, load } = result
  const kills = verdict.brokerKills
  const sum = (count: (kill: BrokerKill) => number): number =>
    kills.reduce((total, kill) => total + count(kill), 0)
  const most = (count: (kill: BrokerKill) => number): number => Math.max(0, ...kills.map(count))
  const lines = [
    result.convictedAfterMs === undefined
      ? 'NOT GUILTY'
      : `GUILTY, proven ${(result.convictedAfterMs / 1000).toFixed(1)} s after the load began`,
    `command: ${replay}`,
    `broker: ${result.broker.version}: ${result.broker.settings.join('; ')}`,
    `load: ${load.rawClients} raw clients, ${load.sdkClients} SDK clients, at most ${load.inFlightMax} requests unanswered at once and ${load.requestsPerSecondMax}/s; ${load.isSuspicious ? 'poison looked for' : 'poison.enabled: false'}`,
    `requests: ${verdict.requests} (raw ${verdict.requests - verdict.requestsSdk}, SDK ${verdict.requestsSdk}) in ${result.seconds.toFixed(0)} s (${result.requestsPerSecond}/s), ${verdict.answered} answered ${JSON.stringify(verdict.outcomes)}`,
    `unanswered: raw ${verdict.unanswered}, SDK ${verdict.unansweredSdk}; raw, acknowledged by a broker that was killed: ${verdict.unansweredByBrokerKill} (requests gone ${sum((kill) => kill.lostRequests)}, replies gone ${sum((kill) => kill.lostReplies)}; ${kills.length} kills, at most ${most((kill) => kill.lostRequests + kill.lostReplies)} by one; under way at the kills ${sum((kill) => kill.underWay)}, at most ${most((kill) => kill.underWay)} at one)`,
    `crossed ${verdict.crossed}, phantom ${verdict.phantom}, violations ${verdict.violations}`,
    `indeterminate ${verdict.indeterminate}, open when it was cut short ${verdict.open}, expired ${verdict.expired}, late ${verdict.late}, duplicate replies ${verdict.duplicateReplies}, delivered again ${verdict.redeliveredReplies}, calls ${verdict.calls}, extra calls ${verdict.extraCalls}`,
    `faults: ${faults.total}`,
    ...Object.entries(faults.byKind).map(([kind, figures]) => `  ${kind}: ${textOf(figures)}`),
    `  none near: ${faults.withoutFault.extraCalls} extra calls, ${faults.withoutFault.duplicateReplies} duplicate replies`,
    `tap: ${JSON.stringify(result.seen)}; sessions lost ${result.sessionsLost}; exits after SIGTERM that were not 0: ${JSON.stringify(result.badExits)}`,
    `CPU ${JSON.stringify(result.cpu)} of a core, peak memory ${JSON.stringify(result.peakRssMb)} MB`,
  ]
  if (!result.isGuilty) return lines.join('\n')
  lines.push('', ...verdict.reasons, ...deaths.map((death) => `The connector died. ${death}`))
  for (const { rule, what, atMs, connection } of verdict.firstViolations) {
    lines.push(`  ${time(atMs)} on connection ${connection}, ${rule}: ${what}`)
  }
  for (const { kind, what, atMs } of verdict.firstMisdeeds) lines.push(`  ${time(atMs)} ${kind}: ${what}`)
  for (const request of verdict.firstUnanswered) {
    lines.push(
      `  unanswered: ${request.kind} request ${request.number}, published ${time(request.publishedAtMs)}, PUBACK ${time(request.pubackAtMs)}, reply taken by the broker ${time(request.replyTakenAtMs)}, ${request.calls} calls of the model`,
    )
  }
  return lines.join('\n')
}

// `undefined` counts those without a cause. Both lists are in order of time.
function countByCause(
  faults: readonly FaultRecord[],
  times: readonly number[],
): ReadonlyMap<string | undefined, number> {
  const counts = new Map<string | undefined, number>()
  let next = 0
  for (const atMs of times) {
    while (next < faults.length && faults[next]!.startedAtMs <= atMs) next += 1
    const last = faults[next - 1]
    const kind = last !== undefined && atMs - last.startedAtMs <= CAUSE_WITHIN_MS ? last.kind : undefined
    counts.set(kind, (counts.get(kind) ?? 0) + 1)
  }
  return counts
}

function recoveryOf(faults: readonly FaultRecord[]): Recovery | undefined {
  const times = faults
    .map(({ recoveryMs }) => recoveryMs)
    .filter((recoveryMs) => recoveryMs !== undefined)
    .sort((one, other) => one - other)
  if (times.length === 0) return undefined
  const at = (share: number): number => times[Math.min(times.length - 1, Math.floor(times.length * share))]!
  return { count: times.length, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: times.at(-1)! }
}

function textOf({ faults, recovery, extraCalls, duplicateReplies }: KindFigures): string {
  const back =
    recovery === undefined
      ? 'nothing answered afterwards'
      : `answered again after p50 ${recovery.p50Ms} ms, p99 ${recovery.p99Ms} ms, max ${recovery.maxMs} ms`
  return `${faults}, ${back}; for each ${perFault(extraCalls, faults)} extra calls, ${perFault(duplicateReplies, faults)} duplicate replies`
}

function time(atMs: number): string {
  return atMs === 0 ? 'never' : new Date(atMs).toISOString().slice(11, 23)
}

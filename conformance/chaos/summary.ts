// The figures of a run by kind of fault, and the report that a person reads.
import type { FaultRecord } from './ledger.ts'
import type { ChaosResult } from './run.ts'
import type { Verdict } from './verdict.ts'

/** Recovery: from the end of a fault to the first answer to what was asked after it, in milliseconds. */
export interface Recovery {
  readonly count: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

/** What the faults cost. */
export interface FaultSummary {
  readonly total: number
  readonly byKind: Readonly<Record<string, number>>
  readonly recovery: Readonly<Record<string, Recovery>>
  readonly connectorKills: number
  readonly brokerKills: number
  /** Calls of the model beyond the first, for each kill of the connector (other faults cost some too). */
  readonly extraCallsPerConnectorKill: number
  readonly duplicateRepliesPerConnectorKill: number
  readonly lostPerBrokerKill: number
}

const RECOVERY_KINDS = ['connector-kill', 'connector-term', 'connector-stop', 'broker-term', 'broker-kill']

/** Counts by kind. */
export function summarizeFaults(faults: readonly FaultRecord[], verdict: Verdict): FaultSummary {
  const byKind: Record<string, number> = {}
  for (const { kind } of faults) byKind[kind] = (byKind[kind] ?? 0) + 1
  const connectorKills = byKind['connector-kill'] ?? 0
  const brokerKills = byKind['broker-kill'] ?? 0
  const recovery = RECOVERY_KINDS.flatMap((kind) => {
    const times = faults
      .filter((fault) => fault.kind === kind && fault.recoveryMs !== undefined)
      .map((fault) => fault.recoveryMs!)
      .sort((one, other) => one - other)
    if (times.length === 0) return []
    const at = (share: number): number => times[Math.min(times.length - 1, Math.floor(times.length * share))]!
    return [[kind, { count: times.length, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: times.at(-1)! }] as const]
  })
  return {
    total: faults.length,
    byKind,
    recovery: Object.fromEntries(recovery),
    connectorKills,
    brokerKills,
    extraCallsPerConnectorKill: perOne(verdict.extraCalls, connectorKills),
    duplicateRepliesPerConnectorKill: perOne(verdict.duplicateReplies, connectorKills),
    lostPerBrokerKill: perOne(verdict.unansweredByBrokerKill, brokerKills),
  }
}

/** What was violated, by which request, and how to see it again. `replay` is the command. */
export function report(result: ChaosResult, replay: string): string {
  const { verdict, deaths, faults } = result
  const lines = [
    result.isGuilty ? 'GUILTY' : 'NOT GUILTY',
    `${verdict.requests} requests in ${result.seconds.toFixed(0)} s (${result.requestsPerSecond}/s), ${verdict.answered} answered ${JSON.stringify(verdict.outcomes)}`,
    `unanswered ${verdict.unanswered}, by broker kill ${verdict.unansweredByBrokerKill}, SDK ${verdict.unansweredSdk}; crossed ${verdict.crossed}, phantom ${verdict.phantom}, violations ${verdict.violations}`,
    `indeterminate ${verdict.indeterminate}, open when it was cut short ${verdict.open}, expired ${verdict.expired}, late ${verdict.late}, duplicate replies ${verdict.duplicateReplies}, delivered again ${verdict.redeliveredReplies}, calls ${verdict.calls}, extra calls ${verdict.extraCalls}`,
    `faults ${faults.total} ${JSON.stringify(faults.byKind)}`,
    ...Object.entries(faults.recovery).map(
      ([kind, { count, p50Ms, p99Ms, maxMs }]) =>
        `recovery after ${kind}: p50 ${p50Ms} ms, p99 ${p99Ms} ms, max ${maxMs} ms (${count})`,
    ),
    `tap ${JSON.stringify(result.seen)}; sessions lost ${result.sessionsLost}; exits after SIGTERM that were not 0: ${JSON.stringify(result.badExits)}`,
    `CPU ${JSON.stringify(result.cpu)} of a core, memory of this process ${result.mainRssMb} MB`,
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
  lines.push(`Again: ${replay}`)
  return lines.join('\n')
}

function perOne(count: number, events: number): number {
  return events === 0 ? 0 : Math.round((count / events) * 100) / 100
}

function time(atMs: number): string {
  return atMs === 0 ? 'never' : new Date(atMs).toISOString().slice(11, 23)
}

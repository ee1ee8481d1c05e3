// The text report of a run.
import type { BrokerKill } from './broker-kills.ts'
import type { ChaosResult } from './result.ts'
import { perFault, type KindFigures } from './summary.ts'

/** Returns the violations with their requests, and the command that repeats the run (`replay`). */
export function report(result: ChaosResult, replay: string): string {
  const { verdict, deaths, faults, load } = result
  const kills = verdict.brokerKills
  const sum = (count: (kill: BrokerKill) => number): number =>
    kills.reduce((total, kill) => total + count(kill), 0)
  const most = (count: (kill: BrokerKill) => number): number => Math.max(0, ...kills.map(count))
  const lines = [
    result.detectedAfterMs === undefined
      ? 'PASSED'
      : `FAILED, detected ${(result.detectedAfterMs / 1000).toFixed(1)} s after the load began`,
    `command: ${replay}`,
    `broker: ${result.broker.version}: ${result.broker.settings.join('; ')}`,
    `load: ${load.rawClients} raw clients, ${load.sdkClients} SDK clients, at most ${load.inFlightMax} unanswered requests and ${load.requestsPerSecondMax}/s; ${load.looksForPoison ? 'poison.enabled: true' : 'poison.enabled: false'}`,
    `requests: ${verdict.requests} (raw ${verdict.requests - verdict.requestsSdk}, SDK ${verdict.requestsSdk}) in ${result.seconds.toFixed(0)} s (${result.requestsPerSecond}/s), ${verdict.answered} answered ${JSON.stringify(verdict.outcomes)}`,
    `unanswered: raw ${verdict.unanswered}, SDK ${verdict.unansweredSdk}; raw requests lost by a killed broker after its PUBACK: ${verdict.unansweredByBrokerKill} (requests lost ${sum((kill) => kill.lostRequests)}, replies lost ${sum((kill) => kill.lostReplies)}; ${kills.length} kills, at most ${most((kill) => kill.lostRequests + kill.lostReplies)} per kill; in flight at the kills ${sum((kill) => kill.underWay)}, at most ${most((kill) => kill.underWay)} per kill)`,
    `crossed ${verdict.crossed}, phantom ${verdict.phantom}, violations ${verdict.violations}, incomplete answers ${verdict.torn} (explained by a kill of the broker: ${verdict.tornByBrokerKill})`,
    `streams: ${result.streams}, ${verdict.parts} parts; altered ${verdict.altered}, without a final message ${verdict.unfinished}, gaps that the SDK did not report ${verdict.gapsUnseen} (reported ${verdict.gapsReported}); calls shared by several requests: ${result.sharedCalls}`,
    `indeterminate ${verdict.indeterminate}, open when the run stopped early ${verdict.open}, expired ${verdict.expired}, late ${verdict.late}, duplicate replies ${verdict.duplicateReplies}, redelivered replies ${verdict.redeliveredReplies}, calls ${verdict.calls}, extra calls ${verdict.extraCalls}`,
    `faults: ${faults.total}`,
    ...Object.entries(faults.byKind).map(([kind, figures]) => `  ${kind}: ${textOf(figures)}`),
    `  no fault shortly before: ${faults.withoutFault.extraCalls} extra calls, ${faults.withoutFault.duplicateReplies} duplicate replies`,
    `tap: ${JSON.stringify(result.seen)}; sessions lost ${result.sessionsLost}; nonzero exit codes after SIGTERM: ${JSON.stringify(result.badExits)}`,
    `CPU ${JSON.stringify(result.cpu)} cores, peak memory ${JSON.stringify(result.peakRssMb)} MB`,
  ]
  if (!result.hasFailed) return lines.join('\n')
  lines.push('', ...verdict.reasons, ...deaths.map((death) => `The connector died. ${death}`))
  for (const { rule, what, atMs, connection } of verdict.firstViolations) {
    lines.push(`  ${time(atMs)} on connection ${connection}, ${rule}: ${what}`)
  }
  for (const { kind, what, atMs } of verdict.firstWrongReplies) lines.push(`  ${time(atMs)} ${kind}: ${what}`)
  for (const request of verdict.firstUnanswered) {
    lines.push(
      `  unanswered: ${request.kind} request ${request.number}, published ${time(request.publishedAtMs)}, PUBACK ${time(request.pubackAtMs)}, PUBACK for the reply ${time(request.replyTakenAtMs)}, ${request.calls} model calls`,
    )
  }
  return lines.join('\n')
}

function textOf({ faults, recovery, extraCalls, duplicateReplies }: KindFigures): string {
  const back =
    recovery === undefined
      ? 'no request was answered afterwards'
      : `recovered after p50 ${recovery.p50Ms} ms, p99 ${recovery.p99Ms} ms, max ${recovery.maxMs} ms`
  return `${faults}, ${back}; per fault ${perFault(extraCalls, faults)} extra calls, ${perFault(duplicateReplies, faults)} duplicate replies`
}

function time(atMs: number): string {
  return atMs === 0 ? 'never' : new Date(atMs).toISOString().slice(11, 23)
}

// Chaos runs that each inject one kind of fault, so that their figures can be attributed to that kind.
import { report } from '../../chaos/report.ts'
import type { ChaosResult } from '../../chaos/result.ts'
import { runChaos } from '../../chaos/run.ts'
import { makeSchedule, type FaultKind } from '../../chaos/schedule.ts'
import { perFault } from '../../chaos/summary.ts'
import { amountOf, Findings, type Row } from '../row.ts'

/** A row for one kind of fault. */
interface ChaosRow {
  readonly name: string
  readonly what: string
  /** Criterion of the row, in addition to `ALL_CRITERION`. */
  readonly criterion?: string
  readonly kinds: readonly FaultKind[]
  readonly faults: number
  readonly everyMs: number
  readonly outageMsMax?: number
  /** Whether the criterion limits times. @default false */
  readonly isTimed?: boolean
  readonly also?: (result: ChaosResult, findings: Findings) => void
}

const ALL_CRITERION =
  '0 unanswered raw and SDK requests (except raw requests lost by a killed broker), 0 crossed and 0 phantom replies, 0 protocol violations'
const QUICK_FAULTS = 6
const RATE = 300
const IN_FLIGHT_MAX = 300
const SEED = 20_261_125

/** Rows with faults of one actor (connector, broker, model server or network). The last row overlaps faults. */
export const CHAOS_ROWS: readonly Row[] = [
  toRow({
    name: 'connector-kill',
    what: 'kill -9 of the connector, 1,000 times',
    criterion: 'extra calls <= requests in flight at the kill; first reply < 2 s (p99) after the restart',
    kinds: ['connector-kill'],
    faults: 1_000,
    everyMs: 5_000,
    isTimed: true,
    also: (result, findings) => {
      recoversWithin(2_000, 'connector-kill', result, findings)
      const { verdict, faults } = result
      const perKill = perFault(verdict.extraCalls, faults.total)
      findings.figure('extra_calls_per_kill', perKill)
      findings.figure('duplicate_replies_per_kill', perFault(verdict.duplicateReplies, faults.total))
      findings.check(perKill <= IN_FLIGHT_MAX, `${perKill} extra calls per kill`)
    },
  }),
  toRow({
    name: 'connector-term',
    what: 'SIGTERM to the connector, 200 times',
    criterion: '0 extra calls; every process exits with code 0 within the grace period',
    kinds: ['connector-term'],
    faults: 200,
    everyMs: 4_000,
    also: (result, findings) => {
      const { verdict, badExits } = result
      findings.figure('exits_not_0', JSON.stringify(badExits))
      findings.check(verdict.extraCalls === 0, `${verdict.extraCalls} extra calls`)
      findings.check(Object.keys(badExits).length === 0, `nonzero exit codes: ${JSON.stringify(badExits)}`)
    },
  }),
  toRow({
    name: 'connector-stop',
    what: 'SIGSTOP to the connector, 100 times, up to 10 s (keep-alive 2 s)',
    criterion: '0 stale acknowledgements (checked by the tap)',
    kinds: ['connector-stop'],
    faults: 100,
    everyMs: 8_000,
    outageMsMax: 10_000,
  }),
  toRow({
    name: 'broker-term',
    what: 'SIGTERM to the broker, 200 times',
    criterion: '0 unanswered raw requests',
    kinds: ['broker-term'],
    faults: 200,
    everyMs: 4_000,
    also: (result, findings) => recoversWithin(Number.POSITIVE_INFINITY, 'broker-term', result, findings),
  }),
  toRow({
    name: 'upstream-faults',
    what: 'the model server is killed, hangs, resets connections, is busy (503) or is slow; 50 times each',
    kinds: ['upstream-kill', 'upstream-hang', 'upstream-reset', 'upstream-503', 'upstream-slow'],
    faults: 250,
    everyMs: 3_000,
  }),
  toRow({
    name: 'network-connector',
    what: 'between connector and broker: lost connection, reset, reset inside a packet, half-open connection in each direction, freeze, latency, slices, 40 kB/s, slow close; 50 times each',
    criterion: 'D1 to D4 are met on the wire; only one connection at a time',
    kinds: [
      'connector-cut',
      'connector-reset',
      'connector-reset-in-packet',
      'connector-half-open-up',
      'connector-half-open-down',
      'connector-freeze',
      'connector-latency',
      'connector-slicer',
      'connector-bandwidth',
      'connector-slow-close',
    ],
    faults: 500,
    everyMs: 3_000,
  }),
  toRow({
    name: 'network-client',
    what: 'between clients and broker: lost connection, reset, reset inside a packet, half-open connection, latency, slices; 50 times',
    criterion: '0 unanswered SDK requests',
    kinds: [
      'client-cut',
      'client-reset',
      'client-reset-in-packet',
      'client-half-open',
      'client-latency',
      'client-slicer',
    ],
    faults: 50,
    everyMs: 3_000,
  }),
  toRow({
    name: 'two-at-once',
    what: 'faults of all kinds, so frequent that several overlap; 300 faults',
    kinds: [],
    faults: 300,
    everyMs: 1_200,
  }),
]

function toRow(row: ChaosRow): Row {
  const { name, what, criterion, kinds, faults, everyMs } = row
  return {
    name,
    what: `${what} (--quick: ${QUICK_FAULTS}), ${RATE} requests/s`,
    criterion: criterion === undefined ? ALL_CRITERION : `${criterion}; ${ALL_CRITERION}`,
    fullSeconds: (faults * everyMs) / 1000 + 30,
    isTimed: row.isTimed ?? false,
    run: async (options) => {
      const { quick, scale, say } = options
      const findings = new Findings()
      const count = amountOf(options, faults, QUICK_FAULTS)
      const spacingMs = quick ? Math.min(everyMs, 2_500) : everyMs
      const durationMs = count * spacingMs
      const result = await runChaos({
        schedule: makeSchedule({
          seed: SEED,
          faults: count,
          durationMs,
          outageMsMax: row.outageMsMax ?? 4_000,
          ...(kinds.length === 0 ? {} : { weights: Object.fromEntries(kinds.map((kind) => [kind, 1])) }),
        }),
        requests: Math.ceil((durationMs / 1000) * RATE * 1.5),
        requestsPerSecond: RATE,
        durationMs: durationMs + 1_000,
        inFlightMax: IN_FLIGHT_MAX,
        progress: say,
      })
      findings.ran('faults', result.faults.total, faults)
      tell(result, findings)
      row.also?.(result, findings)
      if (result.hasFailed)
        say(report(result, `npm run matrix -- ${name}${quick ? ' --quick' : ` --scale ${scale}`}`))
      return findings.result
    },
  }
}

function tell(result: ChaosResult, findings: Findings): void {
  const { verdict, deaths } = result
  findings.figure('requests', verdict.requests)
  findings.figure('requests_sdk', verdict.requestsSdk)
  findings.figure('outcomes', JSON.stringify(verdict.outcomes))
  findings.figure('unanswered', verdict.unanswered)
  findings.figure('unanswered_by_broker_kill', verdict.unansweredByBrokerKill)
  findings.figure('sdk_unanswered', verdict.unansweredSdk)
  findings.figure('expired', verdict.expired)
  findings.figure('in_doubt', verdict.indeterminate)
  findings.figure('crossed', verdict.crossed)
  findings.figure('phantom', verdict.phantom)
  findings.figure('violations', verdict.violations)
  findings.figure('extra_calls', verdict.extraCalls)
  findings.figure('duplicate_replies', verdict.duplicateReplies)
  for (const reason of [...verdict.reasons, ...deaths]) findings.check(false, reason)
}

function recoversWithin(limitMs: number, kind: string, { faults }: ChaosResult, findings: Findings): void {
  const recovery = faults.byKind[kind]?.recovery
  if (recovery === undefined) return findings.check(false, `no request was answered after ${kind}`)
  findings.figure('recovery_p50_ms', recovery.p50Ms)
  findings.figure('recovery_p99_ms', recovery.p99Ms)
  findings.checkTime(recovery.p99Ms < limitMs, `the first reply arrived ${recovery.p99Ms} ms after ${kind}`)
}

// Summarizes a run for each kind of fault.
import type { FaultRecord, Ledger } from './ledger.ts'

/** Time from the end of a fault to the first answer to a request published after that end, in milliseconds. */
export interface Recovery {
  readonly count: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

/** The costs of one kind of fault. An extra call or reply is attributed to the last fault before it. */
export interface KindFigures {
  readonly faults: number
  /** Undefined if no request was answered after any of these faults. */
  readonly recovery: Recovery | undefined
  readonly extraCalls: number
  readonly duplicateReplies: number
}

/** The costs of all faults. */
export interface FaultSummary {
  readonly total: number
  readonly byKind: Readonly<Record<string, KindFigures>>
  /** Extra calls and replies that no recent fault could have caused. */
  readonly withoutFault: { readonly extraCalls: number; readonly duplicateReplies: number }
}

/** The fields of the ledger that the summary uses. */
export type Costs = Pick<Ledger, 'faults' | 'extraCallTimes' | 'duplicateTimes'>

// Long enough for the longest fault, the restart and the redeliveries that follow.
const CAUSE_WITHIN_MS = 15_000

/** Counts the costs of each kind of fault. */
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

/** Returns the average count per fault, rounded to hundredths. */
export function perFault(count: number, faults: number): number {
  return faults === 0 ? 0 : Math.round((count / faults) * 100) / 100
}

// Counts `times` by the kind of fault that precedes them; the key `undefined` counts the times without a recent fault
// before them. Both lists are in chronological order.
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

// The figures of a run by kind of fault.
import type { FaultRecord, Ledger } from './ledger.ts'

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

/** Of the ledger: what is counted here. */
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

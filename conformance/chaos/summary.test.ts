// Tests that extra calls, duplicate replies and recovery times are attributed to the right kind of fault.
import { expect, test } from 'vitest'
import type { FaultRecord } from './ledger.ts'
import { summarizeFaults } from './summary.ts'

const T = 1_000_000

function fault(kind: string, startedAtMs: number, recoveryMs?: number): FaultRecord {
  return { kind, startedAtMs, endedAtMs: startedAtMs + 100, recoveryMs }
}

test('the summary attributes each extra call or duplicate reply to the last fault before it', () => {
  const summary = summarizeFaults({
    // Sorted by the end of the fault.
    faults: [fault('connector-kill', T), fault('client-cut', T + 2500), fault('connector-stop', T + 2000)],
    extraCallTimes: [T - 1, T + 10, T + 20, T + 2000, T + 2600, T + 60_000],
    duplicateTimes: [T + 30],
  })
  expect(summary.byKind).toMatchObject({
    'connector-kill': { faults: 1, extraCalls: 2, duplicateReplies: 1 },
    'connector-stop': { faults: 1, extraCalls: 1, duplicateReplies: 0 },
    'client-cut': { faults: 1, extraCalls: 1, duplicateReplies: 0 },
  })
  expect(summary.withoutFault).toEqual({ extraCalls: 2, duplicateReplies: 0 })
})

test('the summary reports the recovery time of each kind of fault', () => {
  const kills = Array.from({ length: 200 }, (_, index) => fault('broker-kill', T + index * 1000, index))
  const { total, byKind } = summarizeFaults({
    faults: [...kills, fault('broker-kill', T + 300_000), fault('upstream-kill', T + 301_000)],
    extraCallTimes: [],
    duplicateTimes: [],
  })
  expect(total).toBe(202)
  expect(byKind['broker-kill']).toMatchObject({
    faults: 201,
    recovery: { count: 200, p50Ms: 100, p99Ms: 198, maxMs: 199 },
  })
  expect(byKind['upstream-kill']).toMatchObject({ faults: 1, recovery: undefined })
})

// The chaos harness: that it can tell right from wrong, that it finds eight planted bugs, and that the connector passes.
import { describe, expect, onTestFailed, test } from 'vitest'
import { DETECTION_RUN, detectionSchedule } from './chaos/detection.ts'
import { PLANTS } from './chaos/planted/plants.mjs'
import { report } from './chaos/report.ts'
import type { ChaosResult } from './chaos/result.ts'
import { runChaos } from './chaos/run.ts'
import { makeSchedule } from './chaos/schedule.ts'

const TIMEOUT_MS = 120_000
const DETECTION_SEED = 11

describe('the honest connector', () => {
  // Every kind of fault, for half a minute each.
  test.each([1, 2])(
    'answers every request that the broker kept, with seed %i',
    async (seed) => {
      const durationMs = 26_000
      const schedule = makeSchedule({ seed, faults: 13, durationMs: durationMs - 4000, outageMsMax: 3500 })
      const result = await runChaos({ schedule, requests: 50_000, requestsPerSecond: 500, durationMs })
      expectNoFault(result, `npm run chaos -- --replay ${seed} --minutes 0.4 --faults 13 --rate 500`)
      expect(result.faults.total).toBe(13)
      expect(result.verdict.requests).toBeGreaterThan(1000)
    },
    TIMEOUT_MS,
  )

  test(
    'passes under the schedule that detects the planted bugs',
    async () => {
      const schedule = detectionSchedule(DETECTION_SEED)
      expectNoFault(await runChaos({ ...DETECTION_RUN, schedule }), 'npm run chaos -- --detection')
    },
    TIMEOUT_MS,
  )
})

describe('a planted bug is found', () => {
  const evidence: Record<keyof typeof PLANTS, (result: ChaosResult) => boolean> = {
    'ack-on-receipt': saw('ack-before-reply'),
    'ack-before-reply-taken': saw('ack-before-reply'),
    'ack-out-of-order': saw('ack-order'),
    // When the request is redelivered before the late PUBACK, its identifier is open again: then the order is violated.
    'ack-of-old-epoch': (result) => saw('ack-stale-epoch')(result) || saw('ack-order')(result),
    'clean-start': ({ verdict }) => verdict.unanswered > 0,
    // Seen by the client that gets it, or on the wire: the request is acknowledged, and no reply was to it.
    'swapped-correlation': (result) =>
      result.verdict.phantom + result.verdict.crossed > 0 || saw('ack-before-reply')(result),
    'duplicate-key-without-client': ({ verdict }) => verdict.crossed > 0,
    'drop-on-reconnect': ({ verdict }) => verdict.unanswered > 0,
  }

  test.each(Object.keys(PLANTS))(
    '%s',
    async (plant) => {
      const schedule = detectionSchedule(DETECTION_SEED)
      const result = await runChaos({ ...DETECTION_RUN, schedule, plant })
      onTestFailed(() => console.error(report(result, `npm run chaos -- --detection --plant ${plant}`)))
      expect(result.hasFailed).toBe(true)
      expect(evidence[plant]!(result)).toBe(true)
      expect(result.detectedAfterMs).toBeLessThan(60_000)
    },
    TIMEOUT_MS,
  )
})

function saw(rule: string): (result: ChaosResult) => boolean {
  return ({ verdict }) => verdict.firstViolations.some((violation) => violation.rule === rule)
}

function expectNoFault(result: ChaosResult, replay: string): void {
  expect(result.hasFailed ? report(result, replay) : '').toBe('')
}

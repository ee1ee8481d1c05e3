// Tests the chaos harness: the connector passes, and every planted bug is detected.
import { describe, expect, onTestFailed, test } from 'vitest'
import { DETECTION_RUN, detectionSchedule } from './chaos/detection.ts'
import { MUTATIONS } from './chaos/planted/mutations.mjs'
import { report } from './chaos/report.ts'
import type { ChaosResult } from './chaos/result.ts'
import { runChaos } from './chaos/run.ts'
import { makeSchedule } from './chaos/schedule.ts'
import { bugsIn } from './rig/planted-bugs.ts'

const TIMEOUT_MS = 120_000
const DETECTION_SEED = 11
const COUNTS = ['unanswered', 'crossed', 'phantom', 'altered', 'unfinished', 'torn'] as const

describe('the connector without a planted bug', () => {
  // Each schedule contains every kind of fault, and runs for half a minute.
  test.each([1, 2])(
    'answers every request that the broker kept (seed %i)',
    async (seed) => {
      const durationMs = 26_000
      const schedule = makeSchedule({ seed, faults: 13, durationMs: durationMs - 4000, outageMsMax: 3500 })
      const result = await runChaos({ schedule, requests: 50_000, requestsPerSecond: 500, durationMs })
      expectNoFault(result, `npm run chaos -- --replay ${seed} --minutes 0.4 --faults 13 --rate 500`)
      expect(result.faults.total).toBe(13)
      expect(result.verdict.requests).toBeGreaterThan(1000)
      expect(result.verdict.parts).toBeGreaterThan(200)
      expect(result.sharedCalls).toBeGreaterThan(10)
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

test('the mutations contain exactly one entry for each planted bug', () => {
  expect(Object.keys(MUTATIONS).sort()).toEqual(
    bugsIn('chaos')
      .map(({ name }) => name)
      .sort(),
  )
})

test.each(bugsIn('chaos').map(({ name, what, chaos }) => [what, name, chaos] as const))(
  'detects a connector that %s',
  async (_what, name, chaos) => {
    const schedule = detectionSchedule(DETECTION_SEED)
    const result = await runChaos({ ...DETECTION_RUN, schedule, plant: name })
    onTestFailed(() => console.error(report(result, `npm run chaos -- --detection --plant ${name}`)))
    expect(result.hasFailed).toBe(true)
    expect(findingsOf(result).filter((finding) => chaos?.includes(finding))).not.toEqual([])
    expect(result.detectedAfterMs).toBeLessThan(60_000)
  },
  TIMEOUT_MS,
)

test(
  'the SDK reports every gap in the streams of a connector that loses parts',
  async () => {
    const { verdict } = await runChaos({
      schedule: [],
      requests: 2000,
      requestsPerSecond: 400,
      plant: 'lost-part',
      rawClients: 2,
      sdkClients: 10,
      quietMs: 6000,
    })
    expect(verdict.gapsReported).toBeGreaterThan(50)
    expect(verdict.gapsUnseen).toBe(0)
    expect(verdict.altered).toBe(0)
    expect(verdict.unansweredSdk).toBe(0)
  },
  TIMEOUT_MS,
)

function findingsOf({ verdict }: ChaosResult): string[] {
  const counts = COUNTS.filter((name) => verdict[name] > 0)
  return [...counts, ...verdict.firstViolations.map(({ rule }) => rule)]
}

function expectNoFault(result: ChaosResult, replay: string): void {
  expect(result.hasFailed ? report(result, replay) : '').toBe('')
}

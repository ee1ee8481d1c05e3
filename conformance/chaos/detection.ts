// The schedule under which every planted bug is detected, and the connector without one passes.
import { makeSchedule, type Fault } from './schedule.ts'
import type { ChaosOptions } from './run.ts'

const ASKING_MS = 14_000

/** Kills and broken connections of the connector, one each second: what the planted bugs are about. */
export function detectionSchedule(seed: number): Fault[] {
  return makeSchedule({
    seed,
    faults: 12,
    durationMs: ASKING_MS - 2000,
    outageMsMax: 1500,
    weights: {
      'connector-kill': 4,
      'connector-reset': 3,
      'connector-reset-in-packet': 3,
      'connector-cut': 1,
      'connector-stop': 1,
      'upstream-reset': 1,
    },
  })
}

/** The rest of such a run: short, and over as soon as something is proven. */
export const DETECTION_RUN: Omit<ChaosOptions, 'schedule' | 'plant'> = {
  requests: 50_000,
  requestsPerSecond: 500,
  durationMs: ASKING_MS,
  stopWhenDetected: true,
  quietMs: 6000,
}

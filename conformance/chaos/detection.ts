// Under this schedule, every planted bug is detected, and a connector without a planted bug passes.
import { makeSchedule, type Fault } from './schedule.ts'
import type { ChaosOptions } from './run.ts'

const SENDING_MS = 14_000

/** Kills the connector or breaks its connection every second, because these faults reveal the planted bugs. */
export function detectionSchedule(seed: number): Fault[] {
  return makeSchedule({
    seed,
    faults: 12,
    durationMs: SENDING_MS - 2000,
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

/** The options of a detection run besides its schedule. The run is short and stops at the first detection. */
export const DETECTION_RUN: Omit<ChaosOptions, 'schedule' | 'plant'> = {
  requests: 50_000,
  requestsPerSecond: 500,
  durationMs: SENDING_MS,
  stopWhenDetected: true,
  quietMs: 6000,
}

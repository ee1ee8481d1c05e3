// Stream limits for tests in which no limit is reached.
import type { StreamLimits } from '../stream-clock.ts'

/** Thirty seconds between parts, ten minutes in total, nothing joined. */
export const STREAM_LIMITS: StreamLimits = { idleTimeoutMs: 30_000, timeoutMs: 600_000, coalesceMs: 0 }

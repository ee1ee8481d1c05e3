// Computes how long to wait before the next connection attempt: exponential back-off with a cap and full jitter.

/** The shortest and longest waits, in milliseconds. */
export interface ReconnectBounds {
  readonly minMs: number
  readonly maxMs: number
}

/**
 * Returns the wait in milliseconds. Full jitter prevents a fleet of connectors from reconnecting at the same moment
 * after a broker restart. `attempt` counts from 0. After a connection that worked, the wait before the first attempt is
 * at most `minMs`.
 */
export function reconnectDelayMs(attempt: number, bounds: ReconnectBounds, random: () => number): number {
  const ceiling = Math.min(bounds.maxMs, bounds.minMs * 2 ** Math.min(attempt, 30))
  return Math.round(random() * ceiling)
}

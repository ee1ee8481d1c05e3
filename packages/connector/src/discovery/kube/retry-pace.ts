// Decides how long to wait before the next attempt: exponential back-off with full jitter, and a slow pace for states
// that only an administrator changes.

/** Waits, in milliseconds. */
export interface Pace {
  /** Upper limit of the first wait. @default 200 */
  readonly minMs: number
  /** Upper limit of every wait. @default 10000 */
  readonly maxMs: number
  /** Upper limit of the wait after a refusal (403), or while the kind does not exist (404). @default 30000 */
  readonly slowMs: number
  /** Shortest time between the starts of two complete lists. @default 1000 */
  readonly listGapMs: number
}

/** The default waits. */
export const PACE: Pace = { minMs: 200, maxMs: 10_000, slowMs: 30_000, listGapMs: 1_000 }

// The API server may ask for a longer wait than maxMs, but not for an unlimited one.
const RETRY_AFTER_MAX_MS = 60_000

/** Counts the failures since the last progress. */
export class RetryPace {
  readonly #pace: Pace
  readonly #random: () => number
  #failures = 0

  constructor(pace: Pace, random: () => number = Math.random) {
    this.#pace = pace
    this.#random = random
  }

  /** Number of failures since the last progress. */
  get failures(): number {
    return this.#failures
  }

  /** The API server has sent something new. */
  progress(): void {
    this.#failures = 0
  }

  /** Returns the wait after a failure. */
  failed(retryAfterMs = 0): number {
    const ceiling = Math.min(this.#pace.maxMs, this.#pace.minMs * 2 ** Math.min(this.#failures, 30))
    this.#failures += 1
    // The jitter is added, because many clients get the same Retry-After.
    return Math.min(retryAfterMs, RETRY_AFTER_MAX_MS) + this.#random() * ceiling
  }

  /** Returns the wait in a state that only an administrator changes. */
  slow(): number {
    return (0.5 + this.#random() / 2) * this.#pace.slowMs
  }
}

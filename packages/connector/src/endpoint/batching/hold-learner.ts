// Learns how long a request should be held while calls run, so that other requests can join its batch.

// The weight of one call in the averages, which cover about the last 32 calls.
const WEIGHT = 1 / 32
const CALLS_MIN = 8
// If other requests join in fewer holds than this share, requests are held only occasionally, as a trial.
const JOINED_MIN = 0.1
const TRY_EVERY = 32

/**
 * Fits the duration of a call to `overhead + rows * cost`. Merging saves the overhead of a call, so a request is held
 * at most that long, and only if others usually join it.
 */
export class HoldLearner {
  readonly #delayMaxMs: number
  #calls = 0
  #rows = 0
  #ms = 0
  #rowsSquared = 0
  #rowsByMs = 0
  #joined = 1
  #skipped = 0

  constructor(delayMaxMs: number) {
    this.#delayMaxMs = delayMaxMs
  }

  /** Milliseconds to hold a new batch; 0 if a hold is not worthwhile. */
  holdMs(): number {
    if (this.#joined < JOINED_MIN) {
      this.#skipped += 1
      if (this.#skipped % TRY_EVERY !== 0) return 0
    }
    const holdMs = Math.floor(Math.min(this.#delayMaxMs, this.overheadMs))
    return holdMs < 1 ? 0 : holdMs
  }

  /** The part of a call's duration that does not depend on its size; Infinity while it is unknown. */
  get overheadMs(): number {
    if (this.#calls < CALLS_MIN) return Infinity
    const variance = this.#rowsSquared - this.#rows ** 2
    // If all calls have the same size, the cost of an additional instance is unknown, so merging is worth a try.
    if (variance < 0.01) return this.#ms
    const costMs = Math.max(0, (this.#rowsByMs - this.#rows * this.#ms) / variance)
    return Math.max(0, this.#ms - costMs * this.#rows)
  }

  /** Records the end of a hold, and whether another request joined. */
  held(hasJoined: boolean): void {
    this.#joined += ((hasJoined ? 1 : 0) - this.#joined) / 16
  }

  /** Records an answered call. */
  called(rows: number, ms: number): void {
    this.#calls += 1
    const weight = Math.max(WEIGHT, 1 / this.#calls)
    this.#rows += (rows - this.#rows) * weight
    this.#ms += (ms - this.#ms) * weight
    this.#rowsSquared += (rows ** 2 - this.#rowsSquared) * weight
    this.#rowsByMs += (rows * ms - this.#rowsByMs) * weight
  }
}

// Limits how many calls to a model server are retried: a share of the requests to the server, plus a few per second.

// The amounts are counted in tenths of a retry, so that sums remain exact: each request earns 1/10 of a retry, and each
// second earns 3 retries.
const REQUEST_EARNS = 1
const SECOND_EARNS = 30
const RETRY_COSTS = 10

/**
 * A token bucket that starts empty and allows retries for 10 % of the requests plus 3 per second. Unused retries
 * accumulate up to `burstMax`, because many connections may break at once.
 */
export class RetryBudget {
  readonly #tenthsMax: number
  #tenths = 0
  #countedAtMs: number

  constructor(burstMax: number, nowMs: number) {
    this.#tenthsMax = burstMax * RETRY_COSTS
    this.#countedAtMs = nowMs
  }

  /** Records a request, successful or not. */
  earn(): void {
    if (this.#tenths < this.#tenthsMax) this.#tenths += REQUEST_EARNS
  }

  /** Spends one retry; returns false if none is left. */
  spend(nowMs: number): boolean {
    // Elapsed time is added only here, so that a successful call costs no more than an addition.
    const earned = ((nowMs - this.#countedAtMs) / 1000) * SECOND_EARNS
    this.#tenths = Math.min(this.#tenthsMax, this.#tenths + earned)
    this.#countedAtMs = nowMs
    if (this.#tenths < RETRY_COSTS) return false
    this.#tenths -= RETRY_COSTS
    return true
  }
}

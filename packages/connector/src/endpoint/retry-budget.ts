// How many retries one model server gets: a share of the requests, and a few per second beside it.

// In tenths of a retry, so that the sums are exact: each request earns one tenth, each second three retries.
const REQUEST_EARNS = 1
const SECOND_EARNS = 30
const RETRY_COSTS = 10

/**
 * A token bucket that starts empty: from the start on there are never more retries than 10 % of the requests and
 * 3 per second. What is not used is kept up to `burstMax` retries, for the moment when many connections break at once.
 */
export class RetryBudget {
  readonly #tenthsMax: number
  #tenths = 0
  #countedAtMs: number

  constructor(burstMax: number, nowMs: number) {
    this.#tenthsMax = burstMax * RETRY_COSTS
    this.#countedAtMs = nowMs
  }

  /** A request was made, whatever comes of it. */
  earn(): void {
    if (this.#tenths < this.#tenthsMax) this.#tenths += REQUEST_EARNS
  }

  /** Takes one retry out; false = there is none. */
  spend(nowMs: number): boolean {
    // Time is counted only here, so that a good call costs no more than an addition.
    const earned = ((nowMs - this.#countedAtMs) / 1000) * SECOND_EARNS
    this.#tenths = Math.min(this.#tenthsMax, this.#tenths + earned)
    this.#countedAtMs = nowMs
    if (this.#tenths < RETRY_COSTS) return false
    this.#tenths -= RETRY_COSTS
    return true
  }
}

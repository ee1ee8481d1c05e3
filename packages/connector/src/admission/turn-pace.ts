// Measures how fast waiting requests get their turns, to predict the wait of a new request.

// The window is short enough to follow a model that slows down, and long enough to cover calls that end together.
const WINDOW_MS = 500

/** Measures only while requests wait, because a gate that is not full does not show the model's capacity. */
export class TurnPace {
  #sinceMs: number | undefined
  #turns = 0
  #msPerTurn = 0

  /** Milliseconds from one turn to the next; 0 while unknown. */
  get msPerTurn(): number {
    return this.#msPerTurn
  }

  /**
   * Records that a waiting request got its turn. A window contains at least `concurrency` turns, one round of all
   * running calls. It starts at a turn, so that a cold start before the first turn does not count.
   */
  turn(nowMs: number, concurrency: number): void {
    if (this.#sinceMs === undefined) {
      this.#sinceMs = nowMs
      return
    }
    this.#turns += 1
    const elapsedMs = nowMs - this.#sinceMs
    if (elapsedMs < WINDOW_MS || this.#turns < concurrency) return
    this.#msPerTurn = elapsedMs / this.#turns
    this.#sinceMs = nowMs
    this.#turns = 0
  }

  /** Discards the measurement when no request is waiting, so that it does not count against a later burst. */
  idle(): void {
    if (this.#sinceMs === undefined) return
    this.#sinceMs = undefined
    this.#turns = 0
    this.#msPerTurn = 0
  }
}

// How fast turns come while requests wait: what a request that comes now has to expect.

// Short enough to follow a model that becomes slower, long enough for calls that end together.
const WINDOW_MS = 500

/** Measured only while somebody waits: a gate that is not full says nothing about what the model can do. */
export class TurnPace {
  #sinceMs: number | undefined
  #turns = 0
  #msPerTurn = 0

  /** Milliseconds from one turn to the next; 0 while it is not known. */
  get msPerTurn(): number {
    return this.#msPerTurn
  }

  /**
   * A request that waited has its turn. A window has at least `concurrency` of them, one round of all running calls,
   * and begins with one: the cold start before the first does not count.
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

  /** Nobody waits: what was measured is forgotten, so that a burst after a slow hour is taken as any other. */
  idle(): void {
    if (this.#sinceMs === undefined) return
    this.#sinceMs = undefined
    this.#turns = 0
    this.#msPerTurn = 0
  }
}

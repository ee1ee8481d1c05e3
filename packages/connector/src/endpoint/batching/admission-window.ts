// Decides how many requests the gate may admit. The number is small until calls show that requests can be merged.
// The other requests wait at the gate, where clients take turns and the wait is limited.

// At least two requests must wait for a call, because otherwise it is unknown whether requests can be merged.
const WAITING_MIN = 2
// More requests are admitted than the last batch contained: the next batch may be larger, or of another kind.
const GROWTH = 4

/** Adapts the number of admitted requests to the sizes of the batches. */
export class AdmissionWindow {
  readonly #concurrency: number
  readonly #sizeMax: number
  #perCall = 1

  constructor(concurrency: number, sizeMax: number) {
    this.#concurrency = concurrency
    this.#sizeMax = sizeMax
  }

  /** Number of requests that may be admitted. While some batches run, the next batches form. */
  get requestsMax(): number {
    const inCalls = this.#concurrency * this.#perCall
    return inCalls + (this.#perCall === 1 ? WAITING_MIN : inCalls)
  }

  /**
   * Records a call. Call it only if the window was full, because otherwise small batches do not show that requests cannot
   * be merged.
   */
  called(requests: number, rows: number): void {
    // A full batch shows how many requests of this size fit into a call.
    const fitting = Math.ceil((requests * this.#sizeMax) / rows)
    const perCall = requests === 1 ? 1 : Math.min(this.#sizeMax, GROWTH * requests, fitting)
    this.#perCall = Math.max(perCall, Math.floor(this.#perCall / 2))
  }
}

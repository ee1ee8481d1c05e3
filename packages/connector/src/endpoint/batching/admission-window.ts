// Decides how many requests the gate may admit, so that full batches form, but requests that cannot be merged stay at
// the gate, where clients take turns.

// Even if nothing is merged, a few requests must be admitted to find out whether they can be merged.
const PER_CALL_MIN = 4

/** Adapts the number of admitted requests to the sizes of the batches. */
export class AdmissionWindow {
  readonly #concurrency: number
  readonly #sizeMax: number
  #perCall: number

  constructor(concurrency: number, sizeMax: number) {
    this.#concurrency = concurrency
    this.#sizeMax = this.#perCall = sizeMax
  }

  /**
   * Number of requests that may be admitted. While a batch runs, the next one forms, so there is room for two batches
   * per call.
   */
  get requestsMax(): number {
    return 2 * this.#concurrency * this.#perCall
  }

  /** Records a call with this number of requests. Only a full window shows whether its size is right. */
  called(requests: number, admitted: number): void {
    if (admitted < this.requestsMax) return
    if (2 * requests >= this.#perCall) this.#perCall = Math.min(this.#sizeMax, 2 * this.#perCall)
    else if (8 * requests < this.#perCall) {
      this.#perCall = Math.max(Math.min(PER_CALL_MIN, this.#sizeMax), Math.floor(this.#perCall / 2))
    }
  }
}

// Remembers for a while how large a merged call a model accepts.
import type { Log } from '../../telemetry/index.ts'

// Long enough that failed attempts cost little, short enough that a replaced model is soon merged again.
const REMEMBERED_MS = 60_000

/** The largest number of instances that the merged calls of one operation may have. */
export class SizeLimit {
  readonly #sizeMax: number
  readonly #log: Log
  readonly #names: { readonly model: string; readonly operation: string }
  #rowsMax: number
  #untilMs = -Infinity
  #isLogged = false

  constructor(sizeMax: number, log: Log, names: { readonly model: string; readonly operation: string }) {
    this.#sizeMax = this.#rowsMax = sizeMax
    this.#log = log
    this.#names = names
  }

  /** The limit in instances; 1 = no merging. */
  rowsMax(nowMs: number): number {
    return nowMs < this.#untilMs ? this.#rowsMax : this.#sizeMax
  }

  /** Records that a merged call of `rows` instances was answered wrongly, or failed although its parts succeeded. */
  failed(rows: number, rowsMax: number, nowMs: number, reason: string): void {
    if (rowsMax >= this.rowsMax(nowMs)) return
    this.#rowsMax = Math.max(1, rowsMax)
    this.#untilMs = nowMs + REMEMBERED_MS
    if (this.#isLogged) return
    this.#isLogged = true
    const { model, operation } = this.#names
    this.#log.warn(
      { event: 'batch_failed', model, operation, rows, rowsMax: this.#rowsMax, reason },
      `Model "${model}" did not answer a merged call of ${rows} instances as it answers single requests: ${reason}. Calls are limited to ${this.#rowsMax} instances for ${REMEMBERED_MS / 1000} s. Lower models.*.batching.sizeMax, or turn batching off.`,
    )
  }
}

/** The calls that follow a failed merged call, until each of its requests is answered. */
export class Search {
  #hasSuccess = false
  #hasFailedSingle = false

  /** Whether all requests probably fail, because a request failed alone and no call has succeeded. */
  get isHopeless(): boolean {
    return this.#hasFailedSingle && !this.#hasSuccess
  }

  succeeded(): void {
    this.#hasSuccess = true
  }

  singleFailed(): void {
    this.#hasFailedSingle = true
  }
}

/** The two halves of a merged call that failed. If both succeed, the size was the cause, not one of the requests. */
export class Halves {
  readonly search: Search
  readonly #rows: number
  readonly #limit: SizeLimit
  #succeeded = 0

  constructor(rows: number, limit: SizeLimit, search: Search) {
    this.#rows = rows
    this.#limit = limit
    this.search = search
  }

  /** Records that a half succeeded. */
  succeeded(nowMs: number): void {
    this.search.succeeded()
    this.#succeeded += 1
    if (this.#succeeded < 2) return
    const reason = 'the call failed, but both of its halves succeeded'
    this.#limit.failed(this.#rows, Math.floor(this.#rows / 2), nowMs, reason)
  }
}

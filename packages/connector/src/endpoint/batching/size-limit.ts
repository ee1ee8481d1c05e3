// Remembers for a while how large a merged call a model accepts.
import type { Log } from '../../telemetry/index.ts'

// Long enough that failed attempts cost little, and short enough that merging soon resumes if the model is replaced.
const REMEMBERED_MS = 60_000

// The keys come from clients. If a client fills the map, the only effect is that large calls are tried again.
const KEYS_MAX = 64

/**
 * The largest number of instances that a merged call of an operation may have. Each key has a limit of its own,
 * because the model may answer merged calls with one key correctly, and with another key wrongly.
 */
export class SizeLimits {
  readonly #sizeMax: number
  readonly #log: Log
  readonly #names: { readonly model: string; readonly operation: string }
  /** The limits below `sizeMax`, the oldest first. */
  readonly #limits = new Map<string, { readonly rowsMax: number; readonly untilMs: number }>()
  #isLogged = false

  constructor(sizeMax: number, log: Log, names: { readonly model: string; readonly operation: string }) {
    this.#sizeMax = sizeMax
    this.#log = log
    this.#names = names
  }

  /** The limit in instances; 1 = no merging. */
  rowsMax(key: string, nowMs: number): number {
    const limit = this.#limits.get(key)
    return limit !== undefined && nowMs < limit.untilMs ? limit.rowsMax : this.#sizeMax
  }

  /** Records that a merged call of `rows` instances was answered wrongly, or failed although its parts succeeded. */
  failed(key: string, rows: number, accepted: number, nowMs: number, reason: string): void {
    if (accepted >= this.rowsMax(key, nowMs)) return
    const rowsMax = Math.max(1, accepted)
    this.#limits.delete(key)
    this.#limits.set(key, { rowsMax, untilMs: nowMs + REMEMBERED_MS })
    if (this.#limits.size > KEYS_MAX) this.#limits.delete(this.#limits.keys().next().value!)
    if (this.#isLogged) return
    this.#isLogged = true
    const { model, operation } = this.#names
    this.#log.warn(
      { event: 'batch_failed', model, operation, rows, rowsMax, reason },
      `A merged call of ${rows} instances to model "${model}" failed: ${reason}. For ${REMEMBERED_MS / 1000} s, merged calls of the same kind are limited to ${rowsMax} instances. Lower models.*.batching.sizeMax, or turn batching off.`,
    )
  }
}

/** The calls that follow a failed merged call, until each of its requests is answered. */
export class Search {
  #hasSuccess = false
  #hasFailedSingle = false
  readonly #culprits: string[] = []

  /** Whether every request will probably fail, because one failed in a call of its own and no call has succeeded. */
  get isHopeless(): boolean {
    return this.#hasFailedSingle && !this.#hasSuccess
  }

  succeeded(): void {
    this.#hasSuccess = true
  }

  singleFailed(client: string | undefined): void {
    this.#hasFailedSingle = true
    if (client !== undefined) this.#culprits.push(client)
  }

  /** Returns each client whose request failed in a call of its own, once; none while every request may fail. */
  takeCulprits(): string[] {
    return this.#hasSuccess ? this.#culprits.splice(0) : []
  }
}

/**
 * The two halves of a merged call that failed. If both succeed, the call failed because of its size, not because of one
 * of its requests.
 */
export class Halves {
  readonly search: Search
  /** The key of the merged call. */
  readonly key: string
  readonly #rows: number
  readonly #limits: SizeLimits
  #succeeded = 0

  constructor(rows: number, limits: SizeLimits, key: string, search: Search) {
    this.#rows = rows
    this.#limits = limits
    this.key = key
    this.search = search
  }

  /** Records that a half succeeded. */
  succeeded(nowMs: number): void {
    this.search.succeeded()
    this.#succeeded += 1
    if (this.#succeeded < 2) return
    const reason = 'the call failed, but both of its halves succeeded'
    this.#limits.failed(this.key, this.#rows, Math.floor(this.#rows / 2), nowMs, reason)
  }
}

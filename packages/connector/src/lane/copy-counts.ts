// Counts copies that one session has received and whose counterpart on the other session is still expected.

interface Count {
  copies: number
  /** Monotonic clock: when the last copy arrived. */
  atMs: number
}

/** Counts by fingerprint, limited in number and in time: a copy that is not matched in time has no counterpart. */
export class CopyCounts {
  readonly #sizeMax: number
  readonly #ageMaxMs: number
  readonly #counts = new Map<string, Count>()

  constructor(sizeMax: number, ageMaxMs: number) {
    this.#sizeMax = sizeMax
    this.#ageMaxMs = ageMaxMs
  }

  /** Adds a copy that expects its counterpart. */
  add(fingerprint: string): void {
    const copies = this.#current(fingerprint)
    this.#counts.delete(fingerprint)
    this.#counts.set(fingerprint, { copies: copies + 1, atMs: performance.now() })
    if (this.#counts.size <= this.#sizeMax) return
    const [oldest] = this.#counts.keys()
    if (oldest !== undefined) this.#counts.delete(oldest)
  }

  /** Removes one copy that expects a counterpart; false if there is none. */
  take(fingerprint: string): boolean {
    const copies = this.#current(fingerprint)
    if (copies === 0) return false
    const count = this.#counts.get(fingerprint)
    if (copies === 1 || count === undefined) this.#counts.delete(fingerprint)
    else count.copies -= 1
    return true
  }

  #current(fingerprint: string): number {
    const count = this.#counts.get(fingerprint)
    if (count === undefined || performance.now() - count.atMs > this.#ageMaxMs) return 0
    return count.copies
  }
}

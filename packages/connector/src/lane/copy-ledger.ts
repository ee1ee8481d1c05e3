// Pairs the copies of named requests on the two sessions, so that the number of handled copies equals the number that
// the main session receives.

interface Count {
  copies: number
  /** Time of the monotonic clock at which the count became nonzero. */
  sinceMs: number
}

/**
 * The main session receives a copy of every request, so the number of handled copies must equal the number of copies
 * that it receives: an additional copy would cause a second reply, and a missing copy would be a lost request.
 * Identical copies cannot be told apart, only counted. In case of doubt, a copy is handled. Entries are kept by
 * fingerprint, up to `sizeMax` of each kind.
 */
export class CopyLedger {
  readonly #sizeMax: number
  readonly #ageMaxMs: number
  // A positive number counts copies that the lane handled and the main session has not received. A negative number
  // counts copies that the main session dropped, so that the lane must handle their counterparts.
  readonly #ahead = new Map<string, Count>()
  // Counts copies that the main session handled, and whose counterparts the lane may still receive.
  readonly #handledOnMain = new Map<string, Count>()
  // Counts copies that the lane dropped. For each, the main session must handle its next identical copy, which may be
  // the counterpart of the dropped copy.
  readonly #owed = new Map<string, Count>()

  /** `ageMaxMs`: how long a counterpart may take to arrive, in milliseconds. */
  constructor(sizeMax: number, ageMaxMs: number) {
    this.#sizeMax = sizeMax
    this.#ageMaxMs = ageMaxMs
  }

  /** Decides what to do with a copy on the main session. `undecided`: nothing is known about a copy on the lane. */
  verdictOnMain(fingerprint: string): 'handle' | 'drop' | 'undecided' {
    if (this.#add(this.#owed, fingerprint, -1)) return 'handle'
    if (this.#fresh(this.#ahead, fingerprint) <= 0) return 'undecided'
    this.#add(this.#ahead, fingerprint, -1)
    return 'drop'
  }

  /** Records that the main session handled a copy that the lane may receive too. */
  handledOnMain(fingerprint: string): void {
    this.#fresh(this.#handledOnMain, fingerprint)
    this.#add(this.#handledOnMain, fingerprint, 1)
  }

  /** Records that the main session dropped a copy, because the lane receives it too. */
  droppedOnMain(fingerprint: string): void {
    this.#fresh(this.#ahead, fingerprint)
    this.#add(this.#ahead, fingerprint, -1, true)
  }

  /**
   * Returns whether the lane may drop its copy. If so, the main session must handle an identical copy: either a held
   * copy now, or the next one after a call of `owe`.
   */
  takeHandledOnMain(fingerprint: string): boolean {
    if ((this.#ahead.get(fingerprint)?.copies ?? 0) < 0 || this.#owed.size >= this.#sizeMax) return false
    if (this.#fresh(this.#handledOnMain, fingerprint) <= 0) return false
    return this.#add(this.#handledOnMain, fingerprint, -1)
  }

  /** Records that the main session must handle its next identical copy. */
  owe(fingerprint: string): void {
    this.#add(this.#owed, fingerprint, 1)
  }

  /** Records that the lane handles a copy. */
  handledOnLane(fingerprint: string): void {
    this.#fresh(this.#ahead, fingerprint)
    this.#add(this.#ahead, fingerprint, 1, true)
  }

  // Returns the count; a positive count that is too old is discarded.
  #fresh(counts: Map<string, Count>, fingerprint: string): number {
    const count = counts.get(fingerprint)
    if (count === undefined) return 0
    if (count.copies > 0 && performance.now() - count.sinceMs > this.#ageMaxMs) {
      counts.delete(fingerprint)
      return 0
    }
    return count.copies
  }

  // Returns false, and changes nothing, if the count would become negative and `mayBeNegative` is false.
  #add(counts: Map<string, Count>, fingerprint: string, change: 1 | -1, mayBeNegative = false): boolean {
    const known = counts.get(fingerprint)
    const copies = (known?.copies ?? 0) + change
    if (copies < 0 && !mayBeNegative) return false
    if (copies === 0) counts.delete(fingerprint)
    else if (known !== undefined) known.copies = copies
    else counts.set(fingerprint, { copies, sinceMs: performance.now() })
    if (counts.size > this.#sizeMax) {
      const [oldest] = counts.keys()
      if (oldest !== undefined) counts.delete(oldest)
    }
    return true
  }
}

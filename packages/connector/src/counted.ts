// Counts how often each value is in use, so that a change costs the same for one model and for a thousand.

/** A set in which each value is counted. */
export class Counted<Value> {
  readonly #counts = new Map<Value, number>()

  has(value: Value): boolean {
    return this.#counts.has(value)
  }

  add(value: Value): void {
    this.#counts.set(value, (this.#counts.get(value) ?? 0) + 1)
  }

  /** Removes one use. Returns whether it was the last one. */
  delete(value: Value): boolean {
    const count = this.#counts.get(value) ?? 0
    if (count > 1) this.#counts.set(value, count - 1)
    else this.#counts.delete(value)
    return count === 1
  }

  /** The distinct values. */
  values(): IterableIterator<Value> {
    return this.#counts.keys()
  }
}

// A set of limited size.

/** Holds at most `sizeMax` strings; adding a further string removes the oldest. */
export class RecentSet {
  readonly #sizeMax: number
  readonly #texts = new Set<string>()

  constructor(sizeMax: number) {
    this.#sizeMax = sizeMax
  }

  add(text: string): void {
    this.#texts.delete(text)
    this.#texts.add(text)
    if (this.#texts.size > this.#sizeMax) this.#texts.delete(this.#texts.values().next().value!)
  }

  has(text: string): boolean {
    return this.#texts.has(text)
  }

  clear(): void {
    this.#texts.clear()
  }
}

// How many bytes of requests and replies this process may hold, over all models.

/** A counter with a ceiling. */
export class ByteBudget {
  readonly #bytesMax: number
  #bytes = 0

  /** @param bytesMax ceiling in bytes */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  /** Bytes taken now. */
  get bytes(): number {
    return this.#bytes
  }

  hasRoom(bytes: number): boolean {
    return this.#bytes + bytes <= this.#bytesMax
  }

  take(bytes: number): void {
    this.#bytes += bytes
  }

  give(bytes: number): void {
    this.#bytes -= bytes
  }
}

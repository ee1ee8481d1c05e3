// Limits the total size of the requests and replies that this process holds, for all models together.

/** A counter of bytes with an upper limit. */
export class ByteBudget {
  readonly #bytesMax: number
  #bytes = 0

  /** @param bytesMax limit in bytes */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  /** Bytes that are currently taken. */
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

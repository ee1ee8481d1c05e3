// Collects bytes from many small chunks in one buffer, because an object for each chunk would need more memory than its
// the chunk itself.

const FIRST_BYTES = 1_024
const NONE = Buffer.alloc(0)

/** A buffer that grows as needed. The caller limits its size. */
export class ByteBuilder {
  #buffer = NONE
  #length = 0

  get length(): number {
    return this.#length
  }

  append(bytes: Uint8Array): void {
    const length = this.#length + bytes.length
    if (length > this.#buffer.length) this.#grow(length)
    this.#buffer.set(bytes, this.#length)
    this.#length = length
  }

  /** Returns the collected bytes, and empties the buffer. */
  take(): Buffer {
    const taken = this.#buffer.subarray(0, this.#length)
    this.#buffer = NONE
    this.#length = 0
    return taken
  }

  #grow(length: number): void {
    const grown = Buffer.allocUnsafeSlow(Math.max(FIRST_BYTES, 2 * this.#buffer.length, length))
    grown.set(this.#buffer.subarray(0, this.#length))
    this.#buffer = grown
  }
}

// Reuses the memory of large request bodies. A new allocation for each body would make V8 collect garbage all the time.
// Figures: docs/decisions/0012.

/** Smaller bodies are allocated by Node.js, and are never reused. */
export const BLOCK_BYTES_MIN = 64 * 1024
// Limits the memory that is kept for later requests.
const FREE_BYTES_MAX = 16 * 1024 * 1024
// A block is larger than its body by at most this share of the body, so that bodies of slightly different sizes can use
// the same block. The byte budget counts the body only.
const SPARE_SHARE = 1 / 4
// Blocks are freed if no body has been received for this long.
const IDLE_MS = 10_000

/** The free blocks of the process. Each block is an `ArrayBuffer` of its own. */
export class BodyBlocks {
  // The block that was returned last is at the end; it is the most likely one to be in the processor's cache.
  readonly #free: ArrayBuffer[] = []
  // Only memory that was allocated here is reused: other buffers may be parts of Node.js's own pool.
  readonly #own = new WeakSet<ArrayBufferLike>()
  #freeBytes = 0
  #isIdle = true
  #timer: NodeJS.Timeout | undefined

  /** Total size of the free blocks, in bytes. */
  get freeBytes(): number {
    return this.#freeBytes
  }

  /** Returns `length` uninitialized bytes. */
  take(length: number): Buffer {
    if (length < BLOCK_BYTES_MIN) return Buffer.allocUnsafeSlow(length)
    this.#isIdle = false
    const index = this.#free.findLastIndex(
      ({ byteLength }) => byteLength >= length && byteLength <= length * (1 + SPARE_SHARE),
    )
    return Buffer.from(index === -1 ? this.#allocate(length) : this.#remove(index), 0, length)
  }

  /** Returns a copy of the bytes. */
  copy(bytes: Buffer): Buffer {
    if (bytes.length < BLOCK_BYTES_MIN) return Buffer.from(bytes)
    const copy = this.take(bytes.length)
    bytes.copy(copy)
    return copy
  }

  /**
   * Takes back the block of a buffer that `take` or `copy` returned; ignores any other buffer. From now on, all views
   * of the block have the length 0, so that code that still holds one cannot read another request's body. The caller
   * must be certain that no operating system call reads or writes the block.
   */
  give({ buffer }: Buffer): void {
    if (!(buffer instanceof ArrayBuffer) || !this.#own.has(buffer)) return
    const { byteLength } = buffer
    if (byteLength > FREE_BYTES_MAX) return
    this.#own.delete(buffer)
    while (this.#freeBytes + byteLength > FREE_BYTES_MAX) this.#remove(0)
    // The transfer moves the memory to a new ArrayBuffer and detaches the old one. It copies nothing.
    const block = structuredClone(buffer, { transfer: [buffer] })
    this.#own.add(block)
    this.#free.push(block)
    this.#freeBytes += byteLength
    this.#timer ??= setInterval(() => this.#trim(), IDLE_MS).unref()
  }

  #allocate(length: number): ArrayBufferLike {
    const { buffer } = Buffer.allocUnsafeSlow(length + Math.floor((length * SPARE_SHARE) / 2))
    this.#own.add(buffer)
    return buffer
  }

  #remove(index: number): ArrayBuffer {
    const [block] = this.#free.splice(index, 1)
    this.#freeBytes -= block!.byteLength
    return block!
  }

  #trim(): void {
    const isIdle = this.#isIdle
    this.#isIdle = true
    if (!isIdle) return
    this.#free.length = this.#freeBytes = 0
    clearInterval(this.#timer)
    this.#timer = undefined
  }
}

/** The blocks that all sessions share. */
export const bodyBlocks = new BodyBlocks()

// Reuses the memory of large request bodies. A new allocation for each body would make V8 collect garbage all the time.
// Figures: docs/decisions/0012.

/** Smaller bodies are allocated by Node.js, and are never reused. */
export const BLOCK_BYTES_MIN = 64 * 1024
// All sizes are multiples of this, so that bodies of slightly different sizes can use the same block.
const SIZE_STEP = 64 * 1024
// Limits the memory that is kept for later requests.
const FREE_BYTES_MAX = 16 * 1024 * 1024
// A block may be larger than the body by this factor. The byte budget counts the body only.
const WASTE_MAX = 1.25
// Blocks are freed if no body has been received for this long.
const IDLE_MS = 10_000

/** The free blocks of the process. Each block is an `ArrayBuffer` of its own. */
export class BodyBlocks {
  // The block that was returned last is at the end; it is the most likely one to be in the processor's cache.
  readonly #free: ArrayBuffer[] = []
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
      ({ byteLength }) => byteLength >= length && byteLength <= length * WASTE_MAX,
    )
    const bytes = Math.ceil(length / SIZE_STEP) * SIZE_STEP
    const block = index === -1 ? Buffer.allocUnsafeSlow(bytes).buffer : this.#remove(index)
    return Buffer.from(block, 0, length)
  }

  /** Returns a copy of the bytes. */
  copy(bytes: Buffer): Buffer {
    if (bytes.length < BLOCK_BYTES_MIN) return Buffer.from(bytes)
    const copy = this.take(bytes.length)
    bytes.copy(copy)
    return copy
  }

  /**
   * Takes back the block that a buffer returned by `take` or `copy`, or a view of it, belongs to. From now on, all views
   * of the block have the length 0, so that code that still holds one cannot read another request's body. The caller
   * must be certain that no operating system call reads or writes the block.
   */
  give({ buffer }: Buffer): void {
    const { byteLength } = buffer
    if (byteLength < BLOCK_BYTES_MIN || byteLength % SIZE_STEP !== 0 || !(buffer instanceof ArrayBuffer))
      return
    while (this.#freeBytes + byteLength > FREE_BYTES_MAX && this.#free.length > 0) this.#remove(0)
    if (byteLength > FREE_BYTES_MAX) return
    // The transfer moves the memory to a new ArrayBuffer and detaches the old one. It copies nothing.
    this.#free.push(structuredClone(buffer, { transfer: [buffer] }))
    this.#freeBytes += byteLength
    this.#timer ??= setInterval(() => this.#trim(), IDLE_MS).unref()
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

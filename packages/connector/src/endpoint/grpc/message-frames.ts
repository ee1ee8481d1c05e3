// Splits the body of a gRPC response into messages: each has a prefix of 5 bytes (gRPC over HTTP/2, "Length-Prefixed-Message").

/** Thrown for a body that is not a sequence of messages. */
export class FrameError extends Error {
  override readonly name = 'FrameError'
  /** Whether a message is larger than the limit. */
  readonly isTooLarge: boolean

  constructor(message: string, isTooLarge = false) {
    super(message)
    this.isTooLarge = isTooLarge
  }
}

/** Size of the prefix: a flag, and the length of the message as 32 bits. */
export const PREFIX_BYTES = 5

/** Collects the chunks of one body. */
export class MessageFrames {
  readonly #messageBytesMax: number
  #chunks: Buffer[] = []
  #bytes = 0
  /** Length of the current message with its prefix; undefined before the prefix is complete. */
  #frameBytes: number | undefined

  constructor(messageBytesMax: number) {
    this.#messageBytesMax = messageBytesMax
  }

  /** Whether the body ends in the middle of a message. */
  get isPartial(): boolean {
    return this.#bytes > 0
  }

  /**
   * Takes a chunk, and yields the messages that it completes. A message within one chunk is not copied.
   * @throws FrameError after the messages that precede the error, so that the chunks do not matter
   */
  *take(chunk: Buffer): Generator<Buffer, void> {
    this.#chunks.push(chunk)
    this.#bytes += chunk.length
    while (this.#hasFrame()) {
      const joined = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks, this.#bytes)
      const end = this.#frameBytes!
      this.#chunks = joined.length === end ? [] : [joined.subarray(end)]
      this.#bytes -= end
      this.#frameBytes = undefined
      yield joined.subarray(PREFIX_BYTES, end)
    }
  }

  #hasFrame(): boolean {
    if (this.#frameBytes === undefined && this.#bytes >= PREFIX_BYTES) this.#readPrefix()
    return this.#frameBytes !== undefined && this.#bytes >= this.#frameBytes
  }

  #readPrefix(): void {
    if (this.#chunks[0]!.length < PREFIX_BYTES) this.#chunks = [Buffer.concat(this.#chunks, this.#bytes)]
    const [first] = this.#chunks as [Buffer]
    // The request accepts no compression.
    if (first[0] !== 0) throw new FrameError(`a message has the flag ${first[0]}, but must not be compressed`)
    const length = first.readUInt32BE(1)
    if (length > this.#messageBytesMax) throw new FrameError(`a message is ${length} bytes long`, true)
    this.#frameBytes = PREFIX_BYTES + length
  }
}

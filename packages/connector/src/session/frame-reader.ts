// Splits the byte stream into MQTT control packets (MQTT 5 §2.1). The memory of a chunk may be reused after `push`.
import { BLOCK_BYTES_MIN, bodyBlocks } from './body-blocks.ts'
import { MalformedPacket } from './malformed.ts'

/** One control packet as received. */
export interface Frame {
  /** The first byte: packet type and flags. */
  readonly head: number
  /** Variable header and payload; truncated if the packet is larger than the reader's limit. */
  readonly body: Buffer
  /** Whether `body` owns its memory. If not, `body` is a view that is valid only until the handler returns. */
  readonly isOwned: boolean
  /** Remaining Length: the size of the whole body in bytes, even if `body` is truncated. */
  readonly bodyBytes: number
}

const NOTHING = Buffer.alloc(0)

/**
 * Collects chunks and passes on whole packets. If a packet is larger than `bodyBytesMax`, only its beginning,
 * which includes the topic, is kept; the rest is counted and discarded. No packet therefore needs more memory than
 * this limit.
 */
export class FrameReader {
  readonly #onFrame: (frame: Frame) => void
  readonly #bodyBytesMax: () => number
  #stopped = false
  // Bytes of an unfinished fixed header: at most 5.
  #header: Buffer | undefined
  // The packet being collected.
  #head = 0
  #bodyBytes = 0
  #body: Buffer = NOTHING
  #kept = 0
  #missing = 0

  constructor(onFrame: (frame: Frame) => void, bodyBytesMax: () => number) {
    this.#onFrame = onFrame
    this.#bodyBytesMax = bodyBytesMax
  }

  /** Stops the reader: no further frame is passed on, not even from the current chunk. */
  stop(): void {
    this.#stopped = true
  }

  /**
   * The memory into which the next bytes can be read without a copy: the rest of a large packet that is being collected.
   * Undefined if the next bytes must be passed to `push`. Valid until the next call of `push` or `filled`.
   */
  get space(): Buffer | undefined {
    if (this.#stopped || this.#missing < BLOCK_BYTES_MIN) return undefined
    const left = this.#body.length - this.#kept
    return left === this.#missing ? this.#body.subarray(this.#kept) : undefined
  }

  /** Reports that `count` bytes were read into `space`. */
  filled(count: number): void {
    if (this.#stopped) return
    this.#kept += count
    this.#collected(count)
  }

  /** Reads a chunk. @throws MalformedPacket if a Remaining Length has more than four bytes (§1.5.5). */
  push(chunk: Buffer): void {
    let offset = 0
    while (offset < chunk.length && !this.#stopped) {
      if (this.#missing > 0) {
        offset += this.#collect(chunk, offset)
        continue
      }
      const next = this.#begin(chunk, offset)
      if (next === -1) return
      offset = next
    }
  }

  // Reads a fixed header; returns the offset after it, or -1 if it is incomplete.
  #begin(chunk: Buffer, offset: number): number {
    let source = chunk
    let start = offset
    if (this.#header !== undefined) {
      source = Buffer.concat([this.#header, chunk.subarray(offset, offset + 5)])
      start = 0
    }
    let length = 0
    let position = start + 1
    for (let shift = 0; ; shift += 7) {
      if (shift === 28) throw new MalformedPacket('Remaining Length has more than four bytes (MQTT 5 §1.5.5)')
      if (position >= source.length) {
        this.#header = Buffer.from(source.subarray(start))
        return -1
      }
      const byte = source[position++]!
      length |= (byte & 0x7f) << shift
      if ((byte & 0x80) === 0) break
    }
    const head = source[start]!
    const bodyOffset = offset + (position - start) - (this.#header?.length ?? 0)
    this.#header = undefined
    const end = bodyOffset + length
    if (end <= chunk.length && length <= this.#bodyBytesMax()) {
      this.#onFrame({ head, body: chunk.subarray(bodyOffset, end), isOwned: false, bodyBytes: length })
      return end
    }
    this.#head = head
    this.#bodyBytes = length
    this.#missing = length
    this.#body = bodyBlocks.take(Math.min(length, this.#bodyBytesMax()))
    this.#kept = 0
    return bodyOffset
  }

  // Copies bytes of the chunk into the packet that is being collected; returns how many bytes were copied.
  #collect(chunk: Buffer, offset: number): number {
    const taken = Math.min(this.#missing, chunk.length - offset)
    this.#kept += chunk.copy(this.#body, this.#kept, offset, offset + taken)
    this.#collected(taken)
    return taken
  }

  #collected(count: number): void {
    this.#missing -= count
    if (this.#missing > 0) return
    const body = this.#body
    this.#body = NOTHING
    this.#onFrame({ head: this.#head, body, isOwned: true, bodyBytes: this.#bodyBytes })
  }
}

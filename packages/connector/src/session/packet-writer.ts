// Collects the packets of one turn of the event loop and writes them with as few system calls as possible.
import type { Duplex } from 'node:stream'

const SLAB_BYTES = 64 * 1024

/**
 * Copies small packets into a slab, one after another; large payloads are passed on without a copy. One `setImmediate`
 * per turn writes everything, so replies to requests that arrived together are sent together.
 */
export class PacketWriter {
  /** The slab that contains the bytes of the last call of `reserve`. */
  memory: Buffer = Buffer.allocUnsafeSlow(SLAB_BYTES)
  readonly #socket: Duplex
  #from = 0
  #to = 0
  #pieces: Uint8Array[] = []
  #scheduled = false
  #whenWritten: (() => void)[] = []
  readonly #flush = (): void => this.flush()

  constructor(socket: Duplex) {
    this.#socket = socket
  }

  /** Reserves `bytes` in `memory` and returns their offset. The caller must fill them before the turn ends. */
  reserve(bytes: number): number {
    if (this.#to + bytes > this.memory.length) {
      this.#cut()
      this.memory = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, bytes))
      this.#from = this.#to = 0
    }
    const at = this.#to
    this.#to += bytes
    this.#schedule()
    return at
  }

  /**
   * Sends bytes without copying them, after everything that was reserved before. The bytes must not change until they
   * are written.
   */
  append(bytes: Uint8Array): void {
    this.#cut()
    this.#pieces.push(bytes)
    this.#schedule()
  }

  /** Writes PUBACK with reason code 0: four bytes in both versions (MQTT 5 §3.4.2.1). */
  puback(packetId: number): void {
    const at = this.reserve(4)
    const out = this.memory
    out[at] = 0x40
    out[at + 1] = 2
    out[at + 2] = packetId >> 8
    out[at + 3] = packetId & 0xff
  }

  /**
   * Calls `done` once, when the operating system has accepted everything that was reserved or appended before, or
   * when the connection has ended.
   */
  whenWritten(done: () => void): void {
    this.#whenWritten.push(done)
    this.#schedule()
  }

  /** Number of bytes that the operating system has not accepted yet. */
  get backlogBytes(): number {
    return this.#socket.writableLength
  }

  /** Writes everything now. */
  flush(): void {
    this.#scheduled = false
    this.#cut()
    const pieces = this.#pieces
    const written = this.#takeWritten()
    this.#pieces = []
    if (pieces.length === 0 || this.#socket.destroyed || this.#socket.writableEnded) {
      written?.()
      return
    }
    if (pieces.length === 1) {
      this.#socket.write(pieces[0], written)
      return
    }
    const last = pieces.pop()
    this.#socket.cork()
    for (const piece of pieces) this.#socket.write(piece)
    this.#socket.write(last, written)
    this.#socket.uncork()
  }

  #takeWritten(): (() => void) | undefined {
    const waiting = this.#whenWritten
    if (waiting.length === 0) return undefined
    this.#whenWritten = []
    return () => {
      for (const done of waiting) done()
    }
  }

  #cut(): void {
    if (this.#to > this.#from) this.#pieces.push(this.memory.subarray(this.#from, this.#to))
    this.#from = this.#to
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(this.#flush)
  }
}

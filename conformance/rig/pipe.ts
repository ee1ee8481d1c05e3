// One direction of a proxied connection, with toxics applied to its bytes.
import type { Socket } from 'node:net'

/** Faults of one direction. Without any, bytes are forwarded at once. */
export interface Toxics {
  /** Delay of each piece in milliseconds; `jitterMs` is the upper bound of a random addition. */
  latencyMs?: number
  jitterMs?: number
  /** Maximum number of bytes per second. */
  bandwidth?: number
  /** Maximum number of bytes that are forwarded at a time. */
  sliceBytes?: number
  /** Neither reads nor forwards bytes; the connection stays open. */
  isFrozen?: boolean
  /** Time after which the close of one side is forwarded to the other side, in milliseconds. */
  slowCloseMs?: number
}

/** Observes the bytes. */
export interface PipeWitness {
  /** Called when bytes arrive from the source. */
  readonly arrived?: ((chunk: Buffer) => void) | undefined
  /** Called when bytes are written to the destination. */
  readonly passed?: ((chunk: Buffer) => void) | undefined
}

type Piece = { readonly dueMs: number } & ({ readonly bytes: Buffer } | { readonly end: 'fin' | 'rst' })

// The source is paused if the pipe holds more bytes: a frozen or slow pipe fills up, as a real connection does.
const HELD_BYTES_MAX = 256 * 1024

/** Forwards bytes in order, with the delays of the toxics. */
export class Pipe {
  readonly #source: Socket
  readonly #sink: Socket
  readonly #toxics: Toxics
  readonly #witness: PipeWitness
  readonly #held: Piece[] = []
  #heldBytes = 0
  #timer: NodeJS.Timeout | undefined
  #isStopped = false
  #hasEnded = false
  #isSinkFull = false
  #cut: { bytes: number; readonly done: () => void } | undefined
  // The times at which the bandwidth is free again, and at which the latest piece is due. No later piece may
  // be due earlier.
  #freeAtMs = 0
  #lastDueMs = 0

  constructor(source: Socket, sink: Socket, toxics: Toxics, witness: PipeWitness) {
    this.#source = source
    this.#sink = sink
    this.#toxics = toxics
    this.#witness = witness
    source.on('data', (chunk: Buffer) => this.#take(chunk))
    source.on('end', () => this.#ended('fin'))
    // A 'close' event follows. Its listener forwards the reset.
    source.on('error', () => {})
    source.on('close', () => this.#ended('rst'))
    sink.on('drain', () => {
      this.#isSinkFull = false
      this.#pace()
    })
  }

  /** Applies changed toxics. */
  wake(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#pump()
    this.#pace()
  }

  /** Forwards this many further bytes, then stops and calls `done`. */
  cutAfter(bytes: number, done: () => void): void {
    this.#cut = { bytes, done }
  }

  /** Stops forwarding. */
  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
    this.#held.length = 0
  }

  #take(chunk: Buffer): void {
    if (this.#isStopped) return
    this.#witness.arrived?.(chunk)
    const { latencyMs = 0, jitterMs = 0, bandwidth, sliceBytes, isFrozen } = this.#toxics
    const isDirect = latencyMs === 0 && jitterMs === 0 && bandwidth === undefined && sliceBytes === undefined
    if (isDirect && isFrozen !== true && this.#held.length === 0) return this.#pass(chunk)
    const size = sliceBytes ?? chunk.length
    for (let at = 0; at < chunk.length; at += size) {
      this.#hold({
        bytes: chunk.subarray(at, at + size),
        dueMs: this.#dueMs(Math.min(size, chunk.length - at)),
      })
    }
    this.#heldBytes += chunk.length
    this.#pace()
    this.#pump()
  }

  #dueMs(bytes: number): number {
    const now = performance.now()
    const { latencyMs = 0, jitterMs = 0, bandwidth, sliceBytes } = this.#toxics
    let due = now + latencyMs + Math.random() * jitterMs
    if (bandwidth !== undefined) {
      this.#freeAtMs = Math.max(now, this.#freeAtMs) + (bytes / bandwidth) * 1000
      due = Math.max(due, this.#freeAtMs)
    }
    // Each slice needs its own turn of the event loop, because otherwise the kernel joins slices.
    if (sliceBytes !== undefined) due = Math.max(due, this.#lastDueMs + 0.2)
    return Math.max(due, this.#lastDueMs)
  }

  #ended(end: 'fin' | 'rst'): void {
    if (this.#isStopped || this.#hasEnded) return
    this.#hasEnded = true
    this.#hold({ end, dueMs: Math.max(this.#lastDueMs, performance.now() + (this.#toxics.slowCloseMs ?? 0)) })
    this.#pump()
  }

  #hold(piece: Piece): void {
    this.#lastDueMs = piece.dueMs
    this.#held.push(piece)
  }

  #pump(): void {
    if (this.#timer !== undefined || this.#toxics.isFrozen === true) return
    let passed = 0
    for (const piece of this.#held) {
      const waitMs = piece.dueMs - performance.now()
      if (waitMs > 0.5 && !this.#isStopped) {
        this.#timer = setTimeout(() => {
          this.#timer = undefined
          this.#pump()
        }, waitMs)
        break
      }
      passed += 1
      if ('bytes' in piece) {
        this.#heldBytes -= piece.bytes.length
        this.#pass(piece.bytes)
      } else this.#endSink(piece.end)
      if (this.#isStopped) return
    }
    this.#held.splice(0, passed)
    this.#pace()
  }

  #endSink(end: 'fin' | 'rst'): void {
    if (end === 'fin') this.#sink.end()
    else if (this.#sink.connecting) this.#sink.destroy()
    else this.#sink.resetAndDestroy()
  }

  #pass(bytes: Buffer): void {
    if (this.#cut !== undefined && bytes.length >= this.#cut.bytes) {
      const { done, bytes: left } = this.#cut
      this.#write(bytes.subarray(0, left))
      // The bytes must reach the kernel before the reset, which discards all other bytes.
      setImmediate(done)
      this.#isStopped = true
      return
    }
    if (this.#cut !== undefined) this.#cut.bytes -= bytes.length
    this.#write(bytes)
  }

  #write(bytes: Buffer): void {
    if (this.#sink.destroyed || this.#sink.writableEnded) return
    this.#witness.passed?.(bytes)
    if (!this.#sink.write(bytes)) {
      this.#isSinkFull = true
      this.#pace()
    }
  }

  // Applies backpressure: reads from the source only while the pipe can hold more bytes.
  #pace(): void {
    const mustWait = this.#toxics.isFrozen === true || this.#isSinkFull || this.#heldBytes > HELD_BYTES_MAX
    if (mustWait === this.#source.isPaused()) return
    if (mustWait) this.#source.pause()
    else this.#source.resume()
  }
}

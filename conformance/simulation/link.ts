// One simulated TCP connection between connector and broker, with delays, slices, blockages and resets.
import { Duplex } from 'node:stream'
import { parser, type Packet, type Parser } from 'mqtt-packet'
import type { ByteSink, ByteStream } from '../../packages/connector/src/internal.ts'
import type { Owner, SimulatedClock } from './clock.ts'
import type { Random } from '../fixtures/random.ts'

/** The state of the network, for all links. */
export interface Network {
  /** Time until which delays are long, up to a few seconds. */
  slowUntilMs: number
  /** Time until which no bytes are delivered in a direction. */
  blockedUntilMs: { up: number; down: number }
}

/** Receives the events of a link. */
export interface LinkListener {
  /** Called when the connector has written a complete packet. */
  written(link: Link, packet: Packet): void
  /** Called when a packet arrives at the broker. */
  received(link: Link, packet: Packet): void
  /** Called when the broker notices that the connection is closed. */
  ended(link: Link): void
}

interface Chunk {
  atMs: number
  bytes: Buffer
  /** Called when the chunk's last byte arrives, just before that byte is handed to the connector. */
  arrived: (() => void) | undefined
  /** Whether the broker closed the connection after this chunk. */
  isLast: boolean
}

/** A connection with two ends, one for the connector and one for the broker. */
export class Link {
  readonly number: number
  readonly owner: Owner
  readonly stream: Duplex
  readonly #clock: SimulatedClock
  readonly #random: Random
  readonly #network: Network
  readonly #listener: LinkListener
  readonly #parser: Parser
  #sink: ByteSink | undefined
  // Packets that the connector has written, but that the broker has not received. Incomplete packets are never
  // delivered.
  readonly #up: { atMs: number; packet: Packet }[] = []
  readonly #down: Chunk[] = []
  #isUpBusy = false
  #isDownBusy = false
  #upAtMs = 0
  #downAtMs = 0
  /** Whether the connection is broken. */
  isDead = false
  #isEndNoticed = false

  constructor(
    number: number,
    owner: Owner,
    world: { readonly clock: SimulatedClock; readonly random: Random; readonly network: Network },
    protocolVersion: 4 | 5,
    listener: LinkListener,
  ) {
    this.number = number
    this.owner = owner
    this.#clock = world.clock
    this.#random = world.random
    this.#network = world.network
    this.#listener = listener
    this.#parser = parser({ protocolVersion })
    this.#parser.on('packet', (packet: Packet) => this.#written(packet))
    this.stream = new Duplex({
      read: () => {},
      write: (chunk: Buffer, _encoding, done) => {
        this.#parser.parse(chunk)
        done()
      },
      destroy: (error, done) => {
        // Bytes that are already written may still be delivered, or may be lost because of the reset.
        this.die(this.#random.chance(0.5) ? 'all' : 'some', this.#latencyMs())
        done(error)
      },
    })
  }

  /** The connector's end of the connection. */
  get bytes(): ByteStream {
    return { stream: this.stream, onBytes: (sink) => (this.#sink = sink) }
  }

  /** Sends a packet from the broker. */
  send(bytes: Buffer, arrived?: () => void): void {
    if (this.isDead) return
    this.#downAtMs = Math.max(this.#downAtMs, this.#clock.nowMs + this.#latencyMs())
    this.#down.push({ atMs: this.#downAtMs, bytes, arrived, isLast: false })
    if (!this.#isDownBusy) this.#runDown()
  }

  /** Closes the connection on behalf of the broker: packets that the broker has already sent still arrive. */
  close(): void {
    this.#isEndNoticed = true
    if (this.isDead) return
    this.#downAtMs = Math.max(this.#downAtMs, this.#clock.nowMs + this.#latencyMs())
    this.#down.push({ atMs: this.#downAtMs, bytes: Buffer.alloc(0), arrived: undefined, isLast: true })
    if (!this.#isDownBusy) this.#runDown()
  }

  /** Makes the network reset the connection. Some bytes in flight are still delivered. The broker may notice late. */
  cut(noticeMs: number): void {
    if (this.isDead) return
    this.#clock.after(0, () => this.#deliverSome(), this.owner)
    this.die('some', noticeMs)
    this.#clock.after(
      0,
      () => this.stream.destroy(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })),
      this.owner,
    )
  }

  /** Closes the connector's socket. `noticeMs` undefined = the broker never notices. */
  die(arrives: 'all' | 'some' | 'nothing', noticeMs: number | undefined): void {
    if (this.isDead) return
    this.isDead = true
    const packets = this.#up.splice(0).map(({ packet }) => packet)
    const count =
      arrives === 'all' ? packets.length : arrives === 'some' ? this.#random.between(0, packets.length) : 0
    if (noticeMs === undefined) return
    // If the direction is blocked, the close arrives only when the blockage ends.
    const delayMs = Math.max(noticeMs, this.#network.blockedUntilMs.up - this.#clock.nowMs)
    this.#clock.after(delayMs, () => {
      for (const packet of packets.slice(0, count)) this.#listener.received(this, packet)
      if (this.#isEndNoticed) return
      this.#isEndNoticed = true
      this.#listener.ended(this)
    })
  }

  #written(packet: Packet): void {
    this.#listener.written(this, packet)
    if (this.isDead) return
    this.#upAtMs = Math.max(this.#upAtMs, this.#clock.nowMs + this.#latencyMs())
    this.#up.push({ atMs: this.#upAtMs, packet })
    if (!this.#isUpBusy) this.#runUp()
  }

  #runUp(): void {
    const next = this.#up[0]
    this.#isUpBusy = next !== undefined
    if (next === undefined) return
    const atMs = Math.max(next.atMs, this.#network.blockedUntilMs.up)
    this.#clock.after(Math.max(0, atMs - this.#clock.nowMs), () => {
      if (this.#network.blockedUntilMs.up <= this.#clock.nowMs) {
        while (this.#up.length > 0 && this.#up[0]!.atMs <= this.#clock.nowMs) {
          this.#listener.received(this, this.#up.shift()!.packet)
        }
      }
      this.#runUp()
    })
  }

  #runDown(): void {
    const next = this.#down[0]
    this.#isDownBusy = next !== undefined
    if (next === undefined) return
    const atMs = Math.max(next.atMs, this.#network.blockedUntilMs.down)
    this.#clock.after(
      Math.max(0, atMs - this.#clock.nowMs),
      () => {
        if (this.#network.blockedUntilMs.down <= this.#clock.nowMs) this.#deliverDue()
        this.#runDown()
      },
      this.owner,
    )
  }

  // Delivers all due bytes as one segment, or as two segments that are split at a random byte.
  #deliverDue(): void {
    if (this.isDead) {
      this.#down.length = 0
      return
    }
    const due: Chunk[] = []
    while (this.#down.length > 0 && this.#down[0]!.atMs <= this.#clock.nowMs) due.push(this.#down.shift()!)
    const bytes = due.length === 1 ? due[0]!.bytes : Buffer.concat(due.map((chunk) => chunk.bytes))
    const isSliced = bytes.length > 1 && this.#random.chance(0.1)
    this.#deliver(due, bytes, isSliced ? this.#random.between(1, bytes.length - 1) : bytes.length)
  }

  // Delivers some of the due bytes before the reset.
  #deliverSome(): void {
    const due = this.#down.splice(0)
    const bytes = Buffer.concat(due.map((chunk) => chunk.bytes))
    this.#deliver(due, bytes, this.#random.between(0, bytes.length))
    this.#down.length = 0
  }

  #deliver(due: Chunk[], bytes: Buffer, count: number): void {
    let end = 0
    let whole = 0
    for (const chunk of due) {
      end += chunk.bytes.length
      if (end > count) break
      whole += 1
    }
    if (count < bytes.length) {
      const offset = due.slice(0, whole).reduce((sum, chunk) => sum + chunk.bytes.length, 0)
      const [broken, ...rest] = due.slice(whole)
      this.#down.unshift(
        {
          ...broken!,
          bytes: broken!.bytes.subarray(count - offset),
          atMs: this.#clock.nowMs + this.#latencyMs(),
        },
        ...rest,
      )
    }
    const isOpen = !this.stream.destroyed
    for (const chunk of due.slice(0, whole)) if (isOpen) chunk.arrived?.()
    if (count > 0 && isOpen) this.#sink?.take(bytes.subarray(0, count))
    if (due[whole - 1]?.isLast) this.stream.destroy()
  }

  #latencyMs(): number {
    const isSlow = this.#clock.nowMs < this.#network.slowUntilMs
    return isSlow
      ? 300 + this.#random.next() * 2_000
      : 0.1 + this.#random.next() * (this.#random.chance(0.1) ? 20 : 0.5)
  }
}

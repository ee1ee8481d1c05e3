// One network connection of a client: receives and sends packets, and enforces time limits.
import type { Duplex } from 'node:stream'
import { generate, parser, type IConnectPacket, type IPublishPacket, type Packet } from 'mqtt-packet'
import type { BrokerUser } from './access.ts'
import { isPublish, type ClientVersion } from './check-packet.ts'
import type { Delivery } from './message.ts'
import { decodePublish, encodePublish, type Publication } from './publish-codec.ts'
import { PROGRESS } from './packet-guard.ts'
import { REASON } from './refused-packet.ts'

/** Time limits and sizes of a connection. */
export interface ConnectionLimits {
  readonly connectTimeoutMs: number
  /**
   * The connection is closed above this number of unsent bytes. QoS 1 and 2 messages do not add to this number
   * while the stream is full, because the session queues them.
   */
  readonly unsentBytesMax: number
  /**
   * The connection is closed above this number of unsent packets, because a small packet needs far more memory than its
   * size.
   */
  readonly unsentPacketsMax: number
  /** How long the client may go without accepting any of the unsent data, in milliseconds. */
  readonly drainTimeoutMs: number
}

/** A packet from a client: either a decoded PUBLISH, or any other packet as returned by mqtt-packet. */
export type ReceivedPacket = (Publication & { readonly cmd: 'publish' }) | Exclude<Packet, IPublishPacket>

/** The callbacks of a {@link Connection}. */
export interface ConnectionEvents {
  onConnect(packet: IConnectPacket): void
  /**
   * Called in order for every packet that follows CONNECT. The stream emits these packets only after CONNACK has
   * been sent.
   */
  onPacket(packet: ReceivedPacket): void
  /** Called when all unsent bytes have been sent. */
  onDrain(): void
  /** Called once, when the connection can no longer send or receive anything. */
  onClose(): void
  /** Called when the broker closes the connection because of `reason`; {@link ConnectionEvents.onClose} follows. */
  onCutOff(reason: string): void
}

// How long the client has to read the reason and close its side.
const LINGER_MS = 5_000
const RECEIVE_MAXIMUM_DEFAULT = 65_535

/** A client's network connection. */
export class Connection {
  /** Empty before CONNECT. */
  clientId = ''
  version: ClientVersion = 5
  user: BrokerUser | undefined
  /** Maximum number of unacknowledged QoS 1 and 2 messages (MQTT 5 §3.1.2.11.3). */
  receiveMaximum = RECEIVE_MAXIMUM_DEFAULT
  readonly #stream: Duplex
  readonly #limits: ConnectionLimits
  readonly #events: ConnectionEvents
  #packetBytesMax = Number.POSITIVE_INFINITY
  #isEnding = false
  #isFinished = false
  #unsentPackets = 0
  readonly #countSent = (): void => {
    this.#unsentPackets -= 1
  }
  readonly #connectTimer: NodeJS.Timeout
  #keepAliveTimer: NodeJS.Timeout | undefined
  #drainTimer: NodeJS.Timeout | undefined

  constructor(stream: Duplex, limits: ConnectionLimits, events: ConnectionEvents) {
    this.#stream = stream
    this.#limits = limits
    this.#events = events
    const cutOff = (): void => this.cutOff('CONNECT did not arrive in time')
    this.#connectTimer = setTimeout(cutOff, limits.connectTimeoutMs)
    const packets = parser()
    packets.on('packet', (packet) => {
      if (packet.cmd !== 'publish') this.#receive(packet)
    })
    packets.on('error', (error: Error) => this.cutOff(error.message))
    stream.on('data', (packet: Buffer) => {
      this.#keepAliveTimer?.refresh()
      if (isPublish(packet.readUInt8())) {
        this.#receive({ cmd: 'publish', ...decodePublish(packet, this.version) })
      } else {
        packets.parse(packet)
      }
    })
    stream.on('end', () => stream.destroy())
    stream.on('error', () => {})
    stream.on(PROGRESS, () => this.#drainTimer?.refresh())
    stream.on('drain', () => {
      clearTimeout(this.#drainTimer)
      this.#drainTimer = undefined
      this.#events.onDrain()
    })
    stream.once('close', () => {
      clearTimeout(this.#connectTimer)
      clearTimeout(this.#keepAliveTimer)
      clearTimeout(this.#drainTimer)
      this.#finish()
    })
  }

  get isOpen(): boolean {
    return !this.#isEnding && !this.#stream.destroyed
  }

  /** Whether the stream can accept more data without exceeding its buffer limit. */
  get hasRoom(): boolean {
    return this.isOpen && !this.#stream.writableNeedDrain
  }

  /** Applies the limits in the client's CONNECT. */
  limitTo({ properties }: IConnectPacket): void {
    this.receiveMaximum = properties?.receiveMaximum ?? RECEIVE_MAXIMUM_DEFAULT
    this.#packetBytesMax = properties?.maximumPacketSize ?? Number.POSITIVE_INFINITY
  }

  /** Starts the Keep Alive timer. Must be called after CONNACK. */
  accept(packet: IConnectPacket): void {
    clearTimeout(this.#connectTimer)
    const keepAliveMs = (packet.keepalive ?? 0) * 1_500
    // MQTT 5 [MQTT-3.1.2-22]
    if (keepAliveMs > 0) {
      const cutOff = (): void => this.cutOff('Keep Alive timed out', REASON.keepAliveTimeout)
      this.#keepAliveTimer = setTimeout(cutOff, keepAliveMs)
    }
  }

  /** Sends a packet other than PUBLISH. Does nothing if the connection is ending. */
  send(packet: Exclude<Packet, IPublishPacket>): void {
    this.#write([generate(packet, { protocolVersion: this.version })])
  }

  /** Sends a PUBLISH; returns whether it was sent. `messageId` is 0 for QoS 0; `isRepeated` sets DUP. */
  publish(delivery: Delivery, messageId = 0, isRepeated = false): boolean {
    return this.#write(encodePublish(delivery, { version: this.version, messageId, isRepeated }))
  }

  /** Closes the connection after everything has been sent. MQTT 5 clients receive DISCONNECT with the reason code. */
  end(reasonCode?: number): void {
    if (!this.isOpen) return
    if (reasonCode !== undefined && this.version === 5) this.send({ cmd: 'disconnect', reasonCode })
    this.#isEnding = true
    // Further packets are still read, but ignored. If they were not read, the stream would not end when the client
    // closes its side.
    this.#stream.end()
    const timer = setTimeout(() => this.#stream.destroy(), LINGER_MS)
    this.#stream.once('close', () => clearTimeout(timer))
    this.#finish()
  }

  /**
   * Closes the connection because of a client error. With a reason code, closes the connection as `end` does;
   * otherwise closes it at once.
   */
  cutOff(reason: string, reasonCode?: number): void {
    if (!this.isOpen) return
    this.#events.onCutOff(reason)
    if (reasonCode !== undefined) return this.end(reasonCode)
    this.#isEnding = true
    this.#stream.destroy()
  }

  // MQTT 5 [MQTT-3.1.2-24]: the broker must not send packets larger than the client's Maximum Packet Size.
  #write(chunks: readonly Buffer[]): boolean {
    const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0)
    if (!this.isOpen || length > this.#packetBytesMax) return false
    this.#unsentPackets += 1
    this.#stream.cork()
    chunks.forEach((chunk, index) =>
      this.#stream.write(chunk, index === chunks.length - 1 ? this.#countSent : undefined),
    )
    this.#stream.uncork()
    const isTooMuch = this.#unsentPackets > this.#limits.unsentPacketsMax
    if (this.#stream.writableNeedDrain || isTooMuch) this.#watchDrain()
    return true
  }

  #receive(packet: ReceivedPacket): void {
    if (!this.isOpen) return
    if (packet.cmd === 'connect') {
      this.#events.onConnect(packet)
    } else {
      this.#events.onPacket(packet)
    }
  }

  #finish(): void {
    if (this.#isFinished) return
    this.#isFinished = true
    this.#events.onClose()
  }

  #watchDrain(): void {
    const { unsentBytesMax, unsentPacketsMax, drainTimeoutMs } = this.#limits
    const reason = (): string =>
      `the client reads too slowly: ${this.#unsentPackets} packets with ${this.#stream.writableLength} bytes are unsent`
    const isTooMuch = this.#stream.writableLength > unsentBytesMax || this.#unsentPackets > unsentPacketsMax
    if (isTooMuch) return this.cutOff(reason())
    this.#drainTimer ??= setTimeout(() => this.cutOff(reason()), drainTimeoutMs)
  }
}

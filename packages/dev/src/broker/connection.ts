// One network connection of a client, from CONNECT to its end: packets in, packets out, and time limits.
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
  /** More unsent bytes end the connection. Messages with QoS 1 and 2 wait in the session before. */
  readonly unsentBytesMax: number
  /** More unsent packets end the connection: small ones need far more memory than their bytes. */
  readonly unsentPacketsMax: number
  /** How long a client may read nothing while bytes wait for it. */
  readonly drainTimeoutMs: number
}

/** PUBLISH, or another packet of a client. */
export type ReceivedPacket = (Publication & { readonly cmd: 'publish' }) | Exclude<Packet, IPublishPacket>

/** Called by a {@link Connection}. */
export interface ConnectionEvents {
  onConnect(packet: IConnectPacket): void
  /** Every packet after CONNECT, in order. The stream hands them on after CONNACK. */
  onPacket(packet: ReceivedPacket): void
  /** All bytes that waited for the client have been sent. */
  onDrain(): void
  /** Called once, when nothing more can be sent or received. */
  onClose(): void
  /** The broker ends the connection, and why; {@link ConnectionEvents.onClose} follows. */
  onCutOff(reason: string): void
}

// How long a client may take to read the reason and close its side.
const LINGER_MS = 5_000
const RECEIVE_MAXIMUM_DEFAULT = 65_535

/** See the first line. */
export class Connection {
  /** Empty before CONNECT. */
  clientId = ''
  version: ClientVersion = 5
  user: BrokerUser | undefined
  /** How many QoS 1 and 2 messages may be unacknowledged (MQTT 5 §3.1.2.11.3). */
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

  /** Whether the client reads fast enough. */
  get hasRoom(): boolean {
    return this.isOpen && !this.#stream.writableNeedDrain
  }

  /** Applies the limits that the client gives in CONNECT. */
  limitTo({ properties }: IConnectPacket): void {
    this.receiveMaximum = properties?.receiveMaximum ?? RECEIVE_MAXIMUM_DEFAULT
    this.#packetBytesMax = properties?.maximumPacketSize ?? Number.POSITIVE_INFINITY
  }

  /** Call it after CONNACK: starts Keep Alive. */
  accept(packet: IConnectPacket): void {
    clearTimeout(this.#connectTimer)
    const keepAliveMs = (packet.keepalive ?? 0) * 1_500
    // MQTT 5 [MQTT-3.1.2-22]
    if (keepAliveMs > 0) {
      const cutOff = (): void => this.cutOff('Keep Alive timed out', REASON.keepAliveTimeout)
      this.#keepAliveTimer = setTimeout(cutOff, keepAliveMs)
    }
  }

  /** Does nothing when the connection is ending. */
  send(packet: Exclude<Packet, IPublishPacket>): void {
    this.#write([generate(packet, { protocolVersion: this.version })])
  }

  /** Sends a PUBLISH. False: nothing was sent. `messageId` is 0 with QoS 0; `isRepeated` sets DUP. */
  publish(delivery: Delivery, messageId = 0, isRepeated = false): boolean {
    return this.#write(encodePublish(delivery, { version: this.version, messageId, isRepeated }))
  }

  /** Ends the connection when everything is sent. MQTT 5 clients get the reason code in DISCONNECT. */
  end(reasonCode?: number): void {
    if (!this.isOpen) return
    if (reasonCode !== undefined && this.version === 5) this.send({ cmd: 'disconnect', reasonCode })
    this.#isEnding = true
    // Further packets are read and ignored: only then does the stream end when the client closes its side.
    this.#stream.end()
    const timer = setTimeout(() => this.#stream.destroy(), LINGER_MS)
    this.#stream.once('close', () => clearTimeout(timer))
    this.#finish()
  }

  /** Ends the connection because of a fault of the client: by DISCONNECT with the reason code, or at once. */
  cutOff(reason: string, reasonCode?: number): void {
    if (!this.isOpen) return
    this.#events.onCutOff(reason)
    if (reasonCode !== undefined) return this.end(reasonCode)
    this.#isEnding = true
    this.#stream.destroy()
  }

  // MQTT 5 [MQTT-3.1.2-24]: nothing larger than the client's Maximum Packet Size.
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
      `it reads too slowly, ${this.#unsentPackets} packets with ${this.#stream.writableLength} bytes wait for it`
    const isTooMuch = this.#stream.writableLength > unsentBytesMax || this.#unsentPackets > unsentPacketsMax
    if (isTooMuch) return this.cutOff(reason())
    this.#drainTimer ??= setTimeout(() => this.cutOff(reason()), drainTimeoutMs)
  }
}

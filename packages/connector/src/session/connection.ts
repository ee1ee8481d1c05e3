// One connection to the broker, from the open socket to its end: reads packets and dispatches them.
import type { Duplex } from 'node:stream'
import { AckOrder, type AckOrderOptions } from './ack-order.ts'
import { brokerLimits, type BrokerLimits } from './broker-limits.ts'
import {
  checkPingresp,
  decodeConnack,
  decodeDisconnect,
  decodePuback,
  decodeSuback,
  decodeUnsuback,
  type Acknowledgement,
  type Connack,
} from './control-decoder.ts'
import {
  encodeConnect,
  encodeDisconnect,
  encodeSubscribe,
  encodeUnsubscribe,
  PINGREQ,
  type ConnectOptions,
} from './control-encoder.ts'
import { ReceivedDelivery } from './delivery.ts'
import type { ByteSink, ByteStream } from './dial.ts'
import { FrameReader, type Frame } from './frame-reader.ts'
import { KeepAlive } from './keep-alive.ts'
import { MalformedPacket } from './malformed.ts'
import { PacketWriter } from './packet-writer.ts'
import { decodePublish } from './publish-decoder.ts'
import { connackRefusal, disconnectRefusal } from './refusal.ts'
import { checkFirstBytes } from './wrong-port.ts'

/** Receives the events of a connection. Called from the socket's data event, synchronously and in order. */
export interface ConnectionListener {
  /** Called for a successful CONNACK, before any packet that follows it in the same segment. */
  connected(connection: Connection, limits: BrokerLimits): void
  delivered(delivery: ReceivedDelivery): void
  /** Called when the broker sends PUBACK for one of our publishes. */
  acknowledged(packetId: number, reasonCode: number): void
}

/** The options of a connection. */
export interface ConnectionOptions {
  readonly connect: ConnectOptions
  readonly ackOrder: Omit<AckOrderOptions, 'acknowledge'>
  /** Topic filters for which the broker must send retained messages. @default none */
  readonly retainedFilters?: readonly string[] | undefined
  /** Size of the largest packet body that is kept whole, in bytes; the payload of a larger packet is discarded. */
  readonly frameBytesMax: () => number
}

// A SUBSCRIBE or UNSUBSCRIBE that has not been acknowledged yet.
interface Asked {
  readonly answer: 'SUBACK' | 'UNSUBACK'
  readonly filters: number
  readonly resolve: (reasonCodes: readonly number[]) => void
}

/** The error for a connection that the broker closed without giving a reason. */
export class SilentEnd extends Error {
  constructor(isAccepted: boolean) {
    super(
      isAccepted
        ? 'The broker closed the connection.'
        : 'The broker closed the connection before CONNACK. If this happens each time, check the scheme and port of broker.url (mqtts:// for a TLS port).',
    )
  }
}

// While more than this many bytes are unsent, we stop reading. This causes no deadlock, because the broker keeps
// reading, so the unsent bytes are sent eventually.
const WRITE_BACKLOG_BYTES_MAX = 16 * 1024 * 1024
// Only one SUBSCRIBE or UNSUBSCRIBE is in flight at a time; the outbox uses the identifiers 1 to 65,534.
const SUBSCRIBE_PACKET_ID = 0xffff
// Some brokers, such as AWS IoT Core, accept at most this many filters in one SUBSCRIBE.
const SUBSCRIBE_FILTERS_MAX = 8
// How long the broker may take to close the connection after DISCONNECT.
const DISCONNECT_TIMEOUT_MS = 500

// Control packet types that a broker sends (MQTT 5 §2.1.2).
const CONNACK = 2
const PUBLISH = 3
const PUBACK = 4
const SUBACK = 9
const UNSUBACK = 11
const PINGRESP = 13
const DISCONNECT = 14

/** Reads and writes the packets of one connection. Create it with an open socket; it sends CONNECT at once. */
export class Connection implements ByteSink {
  readonly writer: PacketWriter
  readonly ackOrder: AckOrder
  readonly protocolVersion: 4 | 5
  /** Resolves with the reason when the connection has ended; never rejects. */
  readonly closed: Promise<Error>
  readonly #socket: Duplex
  readonly #listener: ConnectionListener
  readonly #options: ConnectionOptions
  readonly #reader: FrameReader
  #keepAlive: KeepAlive | undefined
  #hasRead = false
  #limits: BrokerLimits | undefined
  #asked: Asked | undefined
  #endReason: Error | undefined
  #disconnectTimer: NodeJS.Timeout | undefined
  // Callbacks for the next PINGRESP packets, in order. The list cannot grow without limit, because keep-alive ends the
  // connection if no PINGRESP arrives.
  readonly #pings: (() => void)[] = []
  #nowMs = 0

  constructor(bytes: ByteStream, options: ConnectionOptions, listener: ConnectionListener) {
    const socket = bytes.stream
    this.#socket = socket
    this.#options = options
    this.#listener = listener
    this.protocolVersion = options.connect.protocolVersion
    this.writer = new PacketWriter(socket)
    this.ackOrder = new AckOrder({ ...options.ackOrder, acknowledge: (id) => this.writer.puback(id) })
    this.#reader = new FrameReader((frame) => this.#received(frame), options.frameBytesMax)
    this.closed = new Promise((resolve) => {
      socket.on('error', (error) => (this.#endReason ??= error))
      socket.on('close', () => {
        this.#reader.stop()
        this.#keepAlive?.stop()
        clearTimeout(this.#disconnectTimer)
        this.ackOrder.end()
        this.#asked?.resolve([])
        resolve(this.#endReason ?? new SilentEnd(this.#limits !== undefined))
      })
    })
    // The handler is registered before CONNECT is sent, because the queued messages of a resumed session may follow
    // CONNACK in the same segment.
    bytes.onBytes(this)
    socket.write(encodeConnect(options.connect))
  }

  /** The limits in the broker's CONNACK; undefined until it arrives. */
  get limits(): BrokerLimits | undefined {
    return this.#limits
  }

  /** Topic filters for which the broker must send retained messages: see `encodeSubscribe`. */
  get retainedFilters(): readonly string[] {
    return this.#options.retainedFilters ?? []
  }

  /**
   * Subscribes with QoS 1, and to `retainedFilters` with QoS 0. Returns the reason codes in the order of the filters: 0
   * or 1 for the granted QoS, 0x80 and above for a refusal. If the connection ended, there are fewer codes than
   * filters.
   */
  async subscribe(filters: readonly string[]): Promise<readonly number[]> {
    const codes: number[] = []
    for (let from = 0; from < filters.length; from += SUBSCRIBE_FILTERS_MAX) {
      const some = filters.slice(from, from + SUBSCRIBE_FILTERS_MAX)
      const packet = encodeSubscribe(SUBSCRIBE_PACKET_ID, some, this.protocolVersion, this.retainedFilters)
      const given = await this.#ask(packet, 'SUBACK', some.length)
      codes.push(...given)
      if (given.length === 0) break
    }
    return codes
  }

  /** Returns the reason codes in the order of the filters; none if the connection ended before UNSUBACK. */
  async unsubscribe(filters: readonly string[]): Promise<readonly number[]> {
    const packet = encodeUnsubscribe(SUBSCRIBE_PACKET_ID, filters, this.protocolVersion)
    return await this.#ask(packet, 'UNSUBACK', filters.length)
  }

  /**
   * Sends PINGREQ. `answered` is called when its PINGRESP arrives: by then the broker has read everything that was sent
   * before.
   */
  ping(answered: () => void): void {
    this.#pings.push(answered)
    this.writer.append(PINGREQ)
  }

  /**
   * Sends DISCONNECT, after which the broker keeps the session and does not publish the Will. `closed` resolves
   * with `reason`.
   */
  disconnect(reason: Error): void {
    this.#endReason ??= reason
    // No packet that arrives from now on could be acknowledged.
    this.#reader.stop()
    this.writer.flush()
    this.#socket.end(encodeDisconnect(0, this.protocolVersion))
    this.#disconnectTimer = setTimeout(() => this.#socket.destroy(), DISCONNECT_TIMEOUT_MS)
  }

  /** Closes the socket immediately; `closed` resolves with `reason`. */
  destroy(reason: Error): void {
    this.#endReason ??= reason
    this.#reader.stop()
    this.#socket.destroy()
  }

  take(bytes: Buffer): void {
    this.#read(bytes, 0)
  }

  get space(): Buffer | undefined {
    return this.#reader.space
  }

  filled(count: number): void {
    this.#read(undefined, count)
  }

  #ask(packet: Buffer, answer: Asked['answer'], filters: number): Promise<readonly number[]> {
    return new Promise((resolve) => {
      if (this.#socket.destroyed) return resolve([])
      this.#asked = { answer, filters, resolve }
      this.writer.append(packet)
    })
  }

  // MQTT-3.8.4-2, MQTT-3.10.4-4: SUBACK and UNSUBACK have the Packet Identifier of the packet that they acknowledge.
  #answered(answer: Asked['answer'], { packetId, reasonCodes }: Acknowledgement): void {
    const asked = this.#asked
    if (asked?.answer !== answer || packetId !== SUBSCRIBE_PACKET_ID)
      throw new MalformedPacket(
        `${answer} with Packet Identifier ${packetId} does not match any packet that the connector sent`,
      )
    // MQTT-3.9.3-1, MQTT-3.11.3-1: there is one code for each filter. An MQTT 3.1.1 UNSUBACK has none and is always a
    // success.
    const isPlain = answer === 'UNSUBACK' && this.protocolVersion === 4
    const codes = isPlain ? Array.from({ length: asked.filters }, () => 0) : reasonCodes
    if (codes.length !== asked.filters)
      throw new MalformedPacket(
        `The broker sent ${answer} with ${codes.length} reason codes for ${asked.filters} filters`,
      )
    this.#asked = undefined
    asked.resolve(codes)
  }

  // Reads a chunk, or `count` bytes that were read into `space`.
  #read(chunk: Buffer | undefined, count: number): void {
    this.#nowMs = performance.now()
    this.#keepAlive?.received(this.#nowMs)
    try {
      if (chunk === undefined) this.#reader.filled(count)
      else {
        if (!this.#hasRead) checkFirstBytes(chunk)
        this.#hasRead = true
        this.#reader.push(chunk)
      }
    } catch (error) {
      // A parser error is the broker's fault; any other error is a defect in the connector, so it must not be
      // reported as the broker's fault.
      if (!(error instanceof MalformedPacket)) throw error
      if (this.protocolVersion === 5) this.writer.append(encodeDisconnect(0x81, 5))
      this.writer.flush()
      this.destroy(error)
      return
    }
    if (this.writer.backlogBytes > WRITE_BACKLOG_BYTES_MAX && !this.#socket.isPaused()) {
      this.#socket.pause()
      this.#socket.once('drain', () => this.#socket.resume())
    }
  }

  #received(frame: Frame): void {
    const { protocolVersion } = this
    const type = frame.head >> 4
    switch (type) {
      case PUBLISH:
        return this.#publish(frame)
      case PUBACK: {
        const { packetId, reasonCodes } = decodePuback(frame, protocolVersion)
        return this.#listener.acknowledged(packetId, reasonCodes[0]!)
      }
      case CONNACK:
        return this.#connack(decodeConnack(frame, protocolVersion))
      case SUBACK:
        return this.#answered('SUBACK', decodeSuback(frame, protocolVersion))
      case UNSUBACK:
        return this.#answered('UNSUBACK', decodeUnsuback(frame, protocolVersion))
      case PINGRESP:
        checkPingresp(frame)
        return this.#pings.shift()?.()
      case DISCONNECT:
        return this.destroy(disconnectRefusal(decodeDisconnect(frame, protocolVersion)))
      default:
        throw new MalformedPacket(`The broker sent packet type ${type}, which no client expects`)
    }
  }

  #publish(frame: Frame): void {
    const publish = decodePublish(frame, this.protocolVersion)
    // We subscribe with QoS 1, so the broker must not send QoS 2. PUBREC is therefore not implemented.
    if (publish.qos === 2)
      throw new MalformedPacket('The broker sent PUBLISH with a QoS above the granted QoS (MQTT 5 §3.8.4)')
    const { ackOrder } = this
    // Some brokers resend a message on the same connection. The second copy is ignored, because the first delivery
    // is still in flight and will be acknowledged.
    if (publish.qos === 1 && publish.dup && ackOrder.holds(publish)) return
    const delivery = new ReceivedDelivery(publish, this.#nowMs, ackOrder)
    if (publish.qos === 1) ackOrder.received(delivery)
    this.#listener.delivered(delivery)
  }

  #connack(connack: Connack): void {
    if (this.#limits !== undefined) throw new MalformedPacket('The broker sent a second CONNACK')
    if (connack.reasonCode !== 0) return this.destroy(connackRefusal(connack))
    this.#limits = brokerLimits(connack, this.#options.connect)
    this.#keepAlive = new KeepAlive(this.#limits.keepAliveSeconds, {
      ping: () => this.ping(() => {}),
      silent: (silentMs) =>
        this.destroy(
          new Error(
            `The broker sent nothing for ${(silentMs / 1000).toFixed(0)} s, longer than the keep-alive allows.`,
          ),
        ),
    })
    this.#listener.connected(this, this.#limits)
  }
}

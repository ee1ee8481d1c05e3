// One connection to the broker, from the open socket to its end: reads packets, and hands each to who waits for it.
import type { Duplex } from 'node:stream'
import type { IConnackPacket, IDisconnectPacket, ISubackPacket } from 'mqtt-packet'
import { AckOrder, type AckOrderKind } from './ack-order.ts'
import { brokerLimits, type BrokerLimits } from './broker-limits.ts'
import {
  decodeControlPacket,
  encodeConnect,
  encodeDisconnect,
  encodeSubscribe,
  encodeUnsubscribe,
  PINGREQ,
  type ConnectOptions,
} from './control-packets.ts'
import { Delivery } from './delivery.ts'
import type { ByteStream } from './dial.ts'
import { FrameReader, type Frame } from './frame-reader.ts'
import { KeepAlive } from './keep-alive.ts'
import { MalformedPacket } from './malformed.ts'
import { PacketWriter } from './packet-writer.ts'
import { decodePublish } from './publish-decoder.ts'
import { connackRefusal, disconnectRefusal, subscribeRefusal } from './refusal.ts'

/** Who is told what a connection reads. Called from the socket's data event, synchronously and in order. */
export interface ConnectionListener {
  /** CONNACK with success: called before any packet that follows it in the same segment. */
  connected(connection: Connection, limits: BrokerLimits): void
  delivered(delivery: Delivery): void
  /** A PUBACK of the broker for a publish of ours. */
  acknowledged(packetId: number, reasonCode: number): void
}

/** What a connection is made with. */
export interface ConnectionOptions {
  /** Grows with every connection; deliveries carry it. */
  readonly epoch: number
  readonly connect: ConnectOptions
  readonly ackOrder: AckOrderKind
  /** Bytes of the largest packet body that is kept whole; of larger ones the payload is dropped. */
  readonly frameBytesMax: () => number
}

/** The end of a connection that the broker closed without a reason. */
export class SilentEnd extends Error {
  constructor() {
    super('The broker closed the connection.')
  }
}

// Above this many unsent bytes we stop reading: the broker reads us all the same, so it drains (no deadlock).
const WRITE_BACKLOG_BYTES_MAX = 16 * 1024 * 1024
// Only one SUBSCRIBE or UNSUBSCRIBE is under way at a time; the outbox gives out 1 to 65,534.
const SUBSCRIBE_PACKET_ID = 0xffff

/** See the file's first line. Create it with an open socket; it writes CONNECT at once. */
export class Connection {
  readonly writer: PacketWriter
  readonly ackOrder: AckOrder
  readonly protocolVersion: 4 | 5
  /** Resolves with the reason when the connection is over; it never rejects. */
  readonly closed: Promise<Error>
  readonly #socket: Duplex
  readonly #listener: ConnectionListener
  readonly #options: ConnectionOptions
  readonly #reader: FrameReader
  #keepAlive: KeepAlive | undefined
  #limits: BrokerLimits | undefined
  #subscriptionAnswer: ((codes: readonly number[]) => void) | undefined
  #endReason: Error | undefined
  #nowMs = 0

  constructor(bytes: ByteStream, options: ConnectionOptions, listener: ConnectionListener) {
    const socket = bytes.stream
    this.#socket = socket
    this.#options = options
    this.#listener = listener
    this.protocolVersion = options.connect.protocolVersion
    this.writer = new PacketWriter(socket)
    this.ackOrder = new AckOrder(options.epoch, options.ackOrder, (id) => this.writer.puback(id))
    this.#reader = new FrameReader((frame) => this.#received(frame), options.frameBytesMax)
    this.closed = new Promise((resolve) => {
      socket.on('error', (error) => (this.#endReason ??= error))
      socket.on('close', () => {
        this.#reader.stop()
        this.#keepAlive?.stop()
        this.ackOrder.end()
        this.#subscriptionAnswer?.([])
        resolve(this.#endReason ?? new SilentEnd())
      })
    })
    // Before CONNECT: the backlog of a resumed session follows CONNACK in the same segment.
    bytes.onBytes((chunk) => this.#read(chunk))
    socket.write(encodeConnect(options.connect))
  }

  /** Undefined until CONNACK. */
  get limits(): BrokerLimits | undefined {
    return this.#limits
  }

  /**
   * Subscribes with QoS 1 and resolves when the broker granted all of them.
   * @throws SessionRefusal when one was refused, or granted with QoS 0.
   */
  async subscribe(filters: readonly string[]): Promise<void> {
    const codes = await this.#ask(encodeSubscribe(SUBSCRIBE_PACKET_ID, filters, this.protocolVersion))
    for (const [index, filter] of filters.entries()) {
      const code = codes[index]
      if (code === undefined) throw this.#endReason ?? new Error('The connection ended before SUBACK.')
      if (code !== 1) throw subscribeRefusal(filter, code)
    }
  }

  /** Resolves when the broker confirmed, or the connection ended. */
  async unsubscribe(filter: string): Promise<void> {
    await this.#ask(encodeUnsubscribe(SUBSCRIBE_PACKET_ID, filter, this.protocolVersion))
  }

  /** Says goodbye: the broker keeps the session and does not publish the Will. */
  disconnect(): void {
    this.writer.flush()
    this.#socket.end(encodeDisconnect(0, this.protocolVersion))
  }

  /** Ends the connection at once; `reason` is what `closed` resolves with. */
  destroy(reason: Error): void {
    this.#endReason ??= reason
    this.#reader.stop()
    this.#socket.destroy()
  }

  #ask(packet: Buffer): Promise<readonly number[]> {
    return new Promise((resolve) => {
      if (this.#socket.destroyed) return resolve([])
      this.#subscriptionAnswer = resolve
      this.writer.append(packet)
    })
  }

  #read(chunk: Buffer): void {
    this.#nowMs = performance.now()
    this.#keepAlive?.received(this.#nowMs)
    try {
      this.#reader.push(chunk)
    } catch (error) {
      // A parser error is the broker's; anything else is a fault of ours, and must not be mistaken for one.
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
    const type = frame.head >> 4
    if (this.#limits === undefined && type !== 2) {
      throw new MalformedPacket(`The broker sent packet type ${type} before CONNACK`)
    }
    switch (type) {
      case 3:
        return this.#publish(frame)
      case 4:
        if (frame.body.length < 2) throw new MalformedPacket('PUBACK without a Packet Identifier')
        // MQTT 5 §3.4.2.1: no reason code means success.
        return this.#listener.acknowledged(frame.body.readUInt16BE(0), frame.body[2] ?? 0)
      case 2:
        return this.#connack(decodeControlPacket(frame, this.protocolVersion) as IConnackPacket)
      case 9: {
        const suback = decodeControlPacket(frame, this.protocolVersion) as ISubackPacket
        return this.#subscriptionAnswer?.(suback.granted as number[])
      }
      case 11:
        return this.#subscriptionAnswer?.([0])
      case 13:
        return
      case 14: {
        const packet = decodeControlPacket(frame, this.protocolVersion) as IDisconnectPacket
        return this.destroy(disconnectRefusal(packet.reasonCode ?? 0, packet.properties?.reasonString))
      }
      default:
        throw new MalformedPacket(`The broker sent packet type ${type}, which we never asked for`)
    }
  }

  #publish(frame: Frame): void {
    const publish = decodePublish(frame, this.protocolVersion)
    // We subscribe with QoS 1, and know no PUBREC.
    if (publish.qos === 2)
      throw new MalformedPacket('PUBLISH with a QoS above the granted one (MQTT 5 §3.8.4)')
    const delivery = new Delivery(publish, this.#nowMs, this.ackOrder)
    if (delivery.qos === 1) this.ackOrder.received(delivery)
    this.#listener.delivered(delivery)
  }

  #connack(packet: IConnackPacket): void {
    if (this.#limits !== undefined) throw new MalformedPacket('The broker sent a second CONNACK')
    const code = (this.protocolVersion === 5 ? packet.reasonCode : packet.returnCode) ?? 0
    if (code !== 0) {
      return this.destroy(connackRefusal(code, this.protocolVersion, packet.properties?.reasonString))
    }
    this.#limits = brokerLimits(packet, this.#options.connect.keepAliveSeconds)
    this.#keepAlive = new KeepAlive(this.#limits.keepAliveSeconds, {
      ping: () => this.writer.append(PINGREQ),
      silent: (silentMs) =>
        this.destroy(
          new Error(`The broker was silent for ${(silentMs / 1000).toFixed(0)} s; keep-alive gave up.`),
        ),
    })
    this.#listener.connected(this, this.#limits)
  }
}

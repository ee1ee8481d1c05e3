// An MQTT 5 client that behaves like a device: it has a persistent session, uses QoS 1, and never resends an
// acknowledged publish.
import { connect, type Socket } from 'node:net'
import mqttPacket from 'mqtt-packet'
import type { PartMark } from '../checkers/part-order.ts'
import {
  encodePuback,
  encodePublish,
  PacketScanner,
  partMarkOf,
  userPropertyOf,
  viewPublish,
  type PublishParts,
} from './wire.ts'

/** Address and identity of a client. */
export interface RawClientOptions {
  readonly port: number
  /** Host of the broker. @default 127.0.0.1 */
  readonly host?: string
  /** The `{client}` level of the client's topics. */
  readonly name: string
  /** Client identifier. @default the name */
  readonly clientId?: string
  readonly username?: string
  readonly password?: string
}

/** A received reply. */
export interface RawReply {
  readonly topic: string
  /** Correlation Data in hexadecimal; '' = none. */
  readonly correlation: string
  /** The DUP flag: the broker may have delivered the reply before. */
  readonly isDup: boolean
  /** The user property `status`; `code` is the user property `code`. '' = none. */
  readonly status: string
  readonly code: string
  readonly payload: string
  /** Position in a multi-part answer; undefined for a single-message answer. */
  readonly mark: PartMark | undefined
}

/** Receives the events of a client. The numbers are those that `publish` was called with. */
export interface RawClientListener {
  replied(reply: RawReply): void
  acknowledged(number: number, reasonCode: number): void
  /** The broker lost the session: the publish may or may not have arrived, and MQTT forbids resending it. */
  abandoned(number: number): void
}

interface Unacknowledged {
  readonly number: number
  readonly packet: Buffer
  wasSent: boolean
}

const KEEP_ALIVE_SECONDS = 6
const RETRY_MS = 50
const CONNECT_TIMEOUT_MS = 3000
const DUP = 0x08
const PINGREQ = Buffer.from([0xc0, 0])

/** A client that reconnects until `close`. */
export class RawClient {
  readonly #options: RawClientOptions
  readonly #listener: RawClientListener
  readonly #unacknowledged = new Map<number, Unacknowledged>()
  #socket: Socket | undefined
  #isReady = false
  #isClosed = false
  #isDeaf = false
  #lastId = 0
  #lastReceivedMs = 0
  #timer: NodeJS.Timeout | undefined
  #whenReady: (() => void) | undefined
  connections = 0

  constructor(options: RawClientOptions, listener: RawClientListener) {
    this.#options = options
    this.#listener = listener
  }

  /** Connects; resolves when the client is subscribed to its replies for the first time. */
  start(): Promise<void> {
    this.#connect()
    return new Promise((resolve) => (this.#whenReady = resolve))
  }

  get unacknowledged(): number {
    return this.#unacknowledged.size
  }

  /** Number of bytes that the broker has not read yet. */
  get backlogBytes(): number {
    return this.#socket?.writableLength ?? 0
  }

  /** Publishes now, or after the next reconnect. */
  publish(number: number, parts: Omit<PublishParts, 'packetId'>): void {
    do this.#lastId = this.#lastId >= 65_000 ? 1 : this.#lastId + 1
    while (this.#unacknowledged.has(this.#lastId))
    const packet = encodePublish({ ...parts, packetId: this.#lastId })
    // A client that has stopped reading never receives the PUBACK that would remove the entry.
    if (!this.#isDeaf) this.#unacknowledged.set(this.#lastId, { number, packet, wasSent: this.#isReady })
    if (this.#isReady) this.#socket!.write(packet)
  }

  /** Stops reading. The connection stays open, and PINGREQs are still sent. */
  stopReading(): void {
    this.#isDeaf = true
    this.#socket?.pause()
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
    this.#socket?.destroy()
  }

  #connect(): void {
    const { port, host = '127.0.0.1' } = this.#options
    const socket = connect({ port, host, noDelay: true })
    this.#socket = socket
    this.connections += 1
    this.#lastReceivedMs = performance.now()
    const acks: Buffer[] = []
    const scanner = new PacketScanner((head, bytes, start, end) =>
      this.#received(head, bytes, start, end, acks),
    )
    socket.on('connect', () => socket.write(this.#connectPacket()))
    socket.on('data', (chunk: Buffer) => {
      this.#lastReceivedMs = performance.now()
      scanner.push(chunk)
      if (acks.length > 0 && !socket.destroyed)
        socket.write(acks.length === 1 ? acks[0]! : Buffer.concat(acks))
      acks.length = 0
    })
    socket.on('error', () => {})
    const watch = setInterval(() => this.#watch(socket), (KEEP_ALIVE_SECONDS * 1000) / 3)
    socket.on('close', () => {
      clearInterval(watch)
      this.#isReady = false
      if (!this.#isClosed) this.#timer = setTimeout(() => this.#connect(), RETRY_MS * (1 + Math.random()))
    })
  }

  #watch(socket: Socket): void {
    const silentMs = performance.now() - this.#lastReceivedMs
    const isSilent = silentMs > (this.#isReady ? KEEP_ALIVE_SECONDS * 1000 : CONNECT_TIMEOUT_MS)
    if (isSilent && !this.#isDeaf) socket.destroy()
    else if (this.#isReady) socket.write(PINGREQ)
  }

  #received(head: number, bytes: Buffer, start: number, end: number, acks: Buffer[]): void {
    switch (head >> 4) {
      case 3: {
        const view = viewPublish(head, bytes, start)
        this.#listener.replied({
          topic: view.topic,
          correlation: view.correlation,
          isDup: view.isDup,
          status: userPropertyOf(bytes, view, 'status') ?? '',
          code: userPropertyOf(bytes, view, 'code') ?? '',
          payload: bytes.toString('utf8', view.payloadStart, end),
          mark: partMarkOf(bytes, view),
        })
        // Acknowledges the reply only after the listener has recorded it.
        if (view.qos > 0) acks.push(encodePuback(view.packetId))
        return
      }
      case 4: {
        const packetId = bytes.readUInt16BE(start)
        const entry = this.#unacknowledged.get(packetId)
        if (entry === undefined) return
        this.#unacknowledged.delete(packetId)
        return this.#listener.acknowledged(entry.number, end - start > 2 ? bytes[start + 2]! : 0)
      }
      case 2:
        return this.#connack((bytes[start]! & 1) === 1, bytes[start + 1]!)
      case 9:
        // The last byte of this SUBACK is its only reason code (MQTT 5 §3.9.3).
        if (bytes[end - 1] !== 1) return void this.#socket!.destroy()
        return this.#ready()
    }
  }

  #connack(isSessionPresent: boolean, reasonCode: number): void {
    if (reasonCode !== 0) return void this.#socket!.destroy()
    if (!isSessionPresent) this.#abandon()
    // Session Present does not imply a subscription: the connection or the broker may have failed before SUBSCRIBE.
    this.#socket!.write(this.#subscribePacket())
  }

  // MQTT 5 §3.2.2.1.1: without the session, packets in flight must not be resent.
  #abandon(): void {
    for (const [packetId, { number, wasSent }] of this.#unacknowledged) {
      if (!wasSent) continue
      this.#unacknowledged.delete(packetId)
      this.#listener.abandoned(number)
    }
  }

  // MQTT 5 §4.4: unacknowledged packets are resent with DUP and their original identifier.
  #ready(): void {
    this.#isReady = true
    for (const entry of this.#unacknowledged.values()) {
      if (entry.wasSent) entry.packet[0]! |= DUP
      entry.wasSent = true
      this.#socket!.write(entry.packet)
    }
    this.#whenReady?.()
  }

  #connectPacket(): Buffer {
    const { name, clientId = name, username, password } = this.#options
    return mqttPacket.generate(
      {
        cmd: 'connect',
        protocolId: 'MQTT',
        protocolVersion: 5,
        clean: false,
        clientId,
        ...(username === undefined ? {} : { username, password: Buffer.from(password ?? '') }),
        keepalive: KEEP_ALIVE_SECONDS,
        properties: { sessionExpiryInterval: 86_400, receiveMaximum: 65_535 },
      },
      { protocolVersion: 5 },
    )
  }

  #subscribePacket(): Buffer {
    const subscription = {
      topic: `infer/reply/${this.#options.name}/#`,
      qos: 1 as const,
      nl: false,
      rap: false,
      rh: 2,
    }
    return mqttPacket.generate(
      { cmd: 'subscribe', messageId: 65_535, subscriptions: [subscription] },
      { protocolVersion: 5 },
    )
  }
}

// Our own publishes until the broker has acknowledged them, across connections.
import { hash } from 'node:crypto'
import { encodePublish, publishPacketBytes, type OutgoingMessage } from './publish-encoder.ts'
import { InFlight } from './in-flight.ts'
import type { PacketWriter } from './packet-writer.ts'

/** How a publish ended. */
export type PublishResult =
  /** Acknowledged; the reason code tells more: 0x00, or 0x10 when nobody subscribes (MQTT 5 §3.4.2.1). */
  | { readonly kind: 'acknowledged'; readonly reasonCode: number }
  /** The broker refused it: 0x80 and above, such as 0x87 not authorized, 0x97 quota exceeded. */
  | { readonly kind: 'refused'; readonly reasonCode: number }
  /** Larger than the broker's Maximum Packet Size; it was not sent. */
  | { readonly kind: 'too-large'; readonly packetBytes: number; readonly packetBytesMax: number }
  /** The broker ended the connection again and again while this was on its way. */
  | { readonly kind: 'undeliverable' }
  /** The session was closed for good first. */
  | { readonly kind: 'closed' }

interface Entry {
  readonly message: OutgoingMessage
  readonly done: (result: PublishResult) => void
  packetId: number
  /** Short connections that ended while this was the only one on its way. */
  strikes: number
  /** Short connections that ended while it was on its way. */
  ends: number
}

/** What the outbox needs of a live connection. */
export interface OutboxLink {
  readonly writer: PacketWriter
  readonly protocolVersion: 4 | 5
  /** From CONNACK, bytes. */
  readonly maximumPacketSize: number
  /** From CONNACK: QoS 1 publishes that may be unacknowledged at once (MQTT 5 §4.9). */
  readonly receiveMaximum: number
  /** From CONNACK. */
  readonly maximumQoS: 0 | 1 | 2
}

// 65,535 is left to SUBSCRIBE and UNSUBSCRIBE, which share the identifiers (MQTT 5 §2.2.1).
const PUBLISH_ID_MAX = 0xfffe

// The largest Remaining Length, and the fixed header in front of it.
const MQTT_PACKET_BYTES_MAX = 268_435_455
// More than a topic and the properties of a reply can take.
const HEADER_BYTES_MAX = 256 * 1024
const SHORT_CONNECTION_MS = 2_000
const STRIKES_MAX = 5

// How long, and how many: what the broker hung up on is not sent again. Its request comes again with every connection.
const GIVEN_UP_MS = 600_000
const GIVEN_UP_MAX = 64

const ACKNOWLEDGED: PublishResult = { kind: 'acknowledged', reasonCode: 0 }

/**
 * Owns the Packet Identifiers that we give out. Bounded by its callers: at most one publish per delivery in the
 * window, plus cards and status.
 */
export class Outbox {
  #link: OutboxLink | undefined
  readonly #inFlight = new InFlight<Entry>(PUBLISH_ID_MAX)
  // In flight on a resumed session, and above what may be on its way at once now: not sent again yet.
  readonly #toResend = new Set<Entry>()
  // Something in flight may be what the broker hangs up on, again and again. Then one alone is sent first, and each
  // acknowledgement lets two follow: the innocent get through, and the guilty one comes to be alone.
  #cautiousMax = Number.POSITIVE_INFINITY
  // By topic and payload, with the time until when.
  readonly #givenUp = new Map<string, number>()
  // Connections that ended soon, with something in flight.
  #shortInARow = 0
  #isSuspicious = false
  #isClosed = false
  readonly #waiting: Entry[] = []
  #waitingHead = 0
  #connectedAtMs = 0

  /** Publishes that the broker has not acknowledged yet. */
  get pending(): number {
    return this.#inFlight.size + this.#waiting.length - this.#waitingHead
  }

  /** The same publish was on its way when each of the last two connections ended soon: it may be the reason. */
  get isSuspicious(): boolean {
    return this.#isSuspicious
  }

  /** Sends now, or as soon as the connection and the broker's Receive Maximum allow. `done` is called once. */
  publish(message: OutgoingMessage, done: (result: PublishResult) => void): void {
    if (this.#isClosed) return done({ kind: 'closed' })
    const link = this.#link
    const entry: Entry = { message, done, packetId: 0, strikes: 0, ends: 0 }
    if (link === undefined || this.#waitingHead < this.#waiting.length || this.#isFull(link)) {
      this.#waiting.push(entry)
      return
    }
    this.#send(link, entry)
  }

  /**
   * A connection is up. What was unacknowledged goes first: on a resumed session with DUP and its old identifier
   * (MQTT 5 §4.4), on a new one as a new message.
   */
  connected(link: OutboxLink, sessionPresent: boolean): void {
    this.#link = link
    this.#connectedAtMs = performance.now()
    if (sessionPresent) {
      for (const entry of this.#inFlight.values()) this.#toResend.add(entry)
      this.#resend(link)
    } else {
      this.#waiting.splice(0, this.#waitingHead, ...this.#inFlight.values())
      this.#waitingHead = 0
      this.#inFlight.clear()
    }
    this.#drainWaiting()
  }

  /** The connection is gone; everything unacknowledged is kept for the next one. */
  disconnected(): void {
    if (this.#link === undefined) return
    this.#link = undefined
    const isShort = performance.now() - this.#connectedAtMs < SHORT_CONNECTION_MS
    const sent = this.#inFlight.values().filter((entry) => !this.#toResend.has(entry))
    this.#toResend.clear()
    if (!isShort || sent.length === 0) {
      this.#shortInARow = 0
      this.#isSuspicious = false
      this.#cautiousMax = Number.POSITIVE_INFINITY
      for (const entry of sent) entry.strikes = entry.ends = 0
      return
    }
    this.#shortInARow += 1
    for (const entry of sent) entry.ends += 1
    this.#isSuspicious = sent.some(({ ends }) => ends > 1)
    if (this.#shortInARow > 1) this.#cautiousMax = 1
    const only = sent[0]!
    if (sent.length > 1) return
    only.strikes += 1
    // A publish that makes the broker hang up would be resent, and hang up, for ever.
    if (only.strikes >= STRIKES_MAX) this.#giveUp(only)
  }

  #giveUp(entry: Entry): void {
    const [oldest] = this.#givenUp.keys()
    if (oldest !== undefined && this.#givenUp.size >= GIVEN_UP_MAX) this.#givenUp.delete(oldest)
    this.#givenUp.set(identity(entry.message), performance.now() + GIVEN_UP_MS)
    this.#end(entry, { kind: 'undeliverable' })
  }

  /** A PUBACK came. Returns false for an identifier that is not ours (a protocol error of the broker). */
  acknowledged(packetId: number, reasonCode: number): boolean {
    const entry = this.#inFlight.get(packetId)
    if (entry === undefined) return false
    this.#inFlight.delete(packetId)
    this.#cautiousMax += 1
    this.#toResend.delete(entry)
    entry.done(
      reasonCode === 0 ? ACKNOWLEDGED : { kind: reasonCode < 0x80 ? 'acknowledged' : 'refused', reasonCode },
    )
    if (this.#toResend.size > 0 && this.#link !== undefined) this.#resend(this.#link)
    if (this.#waitingHead < this.#waiting.length) this.#drainWaiting()
    return true
  }

  /** Ends everything that still waits with `closed`. */
  close(): void {
    const left = [...this.#inFlight.values(), ...this.#waiting.slice(this.#waitingHead)]
    this.#isClosed = true
    this.#inFlight.clear()
    this.#toResend.clear()
    this.#waiting.length = 0
    this.#waitingHead = 0
    this.#link = undefined
    for (const entry of left) entry.done({ kind: 'closed' })
  }

  // MQTT 5 §4.4: with DUP and the old identifier, in the old order. The broker may have had a larger Receive Maximum.
  #resend(link: OutboxLink): void {
    let sent = this.#inFlight.size - this.#toResend.size
    for (const entry of this.#toResend) {
      if (sent >= this.#sendMax(link)) return
      this.#toResend.delete(entry)
      if (this.#isUnsendable(link, entry)) continue
      encodePublish(link.writer, entry.message, entry.packetId, true, link.protocolVersion)
      sent += 1
    }
  }

  #isFull(link: OutboxLink): boolean {
    return this.#inFlight.size >= Math.min(this.#sendMax(link), PUBLISH_ID_MAX)
  }

  // How many may be on their way at once.
  #sendMax(link: OutboxLink): number {
    return Math.min(link.receiveMaximum, this.#cautiousMax)
  }

  #drainWaiting(): void {
    const link = this.#link
    while (link !== undefined && this.#waitingHead < this.#waiting.length && !this.#isFull(link)) {
      this.#send(link, this.#waiting[this.#waitingHead]!)
      this.#waitingHead += 1
    }
    if (this.#waitingHead === this.#waiting.length || this.#waitingHead >= 1024) {
      this.#waiting.splice(0, this.#waitingHead)
      this.#waitingHead = 0
    }
  }

  #send(link: OutboxLink, entry: Entry): void {
    const { message } = entry
    if (this.#isUnsendable(link, entry)) return
    if (message.qos === 0 || link.maximumQoS === 0) {
      encodePublish(link.writer, { ...message, qos: 0 }, 0, false, link.protocolVersion)
      entry.done(ACKNOWLEDGED)
      return
    }
    // `#isFull` was false, so an identifier is free.
    entry.packetId = this.#inFlight.add(entry)
    encodePublish(link.writer, message, entry.packetId, false, link.protocolVersion)
  }

  #isUnsendable(link: OutboxLink, entry: Entry): boolean {
    return this.#isTooLarge(link, entry) || this.#isGivenUp(entry)
  }

  // Ends what the broker hung up on before.
  #isGivenUp(entry: Entry): boolean {
    if (this.#givenUp.size === 0) return false
    if ((this.#givenUp.get(identity(entry.message)) ?? 0) <= performance.now()) return false
    this.#end(entry, { kind: 'undeliverable' })
    return true
  }

  // Ends what the broker does not take, or what MQTT cannot carry (MQTT 5 §2.1.4).
  #isTooLarge(link: OutboxLink, entry: Entry): boolean {
    const packetBytesMax = Math.min(link.maximumPacketSize, MQTT_PACKET_BYTES_MAX)
    // Topic and properties are bounded: only where the payload comes near the limit is it worth measuring.
    if (entry.message.payload.length < packetBytesMax - HEADER_BYTES_MAX) return false
    const packetBytes = publishPacketBytes(entry.message, link.protocolVersion)
    if (packetBytes <= packetBytesMax) return false
    this.#end(entry, { kind: 'too-large', packetBytes, packetBytesMax })
    return true
  }

  #end(entry: Entry, result: PublishResult): void {
    if (entry.packetId !== 0) this.#inFlight.delete(entry.packetId)
    entry.done(result)
  }
}

// The same answer to the same request has other times in its properties.
function identity({ topic, payload }: OutgoingMessage): string {
  return `${topic} ${hash('sha1', payload)}`
}

// Keeps our publishes across connections until the broker has acknowledged them.
import type { PublishResult } from '../step.ts'
import { HangUpSearch, type Suspect } from './hang-up-search.ts'
import { InFlight } from './in-flight.ts'
import type { PacketWriter } from './packet-writer.ts'
import { DUP, encodePublish, publishPacketBytes, type OutgoingMessage } from './publish-encoder.ts'

interface Entry extends Suspect {
  readonly done: (result: PublishResult) => void
  packetId: number
  /** Position among all messages, in the order in which they were first sent. */
  turn: number
}

/** The parts of a connection that the outbox needs. */
export interface OutboxLink {
  readonly writer: PacketWriter
  readonly protocolVersion: 4 | 5
  /** The broker's Maximum Packet Size in bytes. */
  readonly maximumPacketSize: number
  /** The broker's Receive Maximum: how many QoS 1 publishes may be unacknowledged at the same time (MQTT 5 §4.9). */
  readonly receiveMaximum: number
  /** The broker's Maximum QoS. */
  readonly maximumQoS: 0 | 1 | 2
  /** The broker's Retain Available; if false, everything is sent with Retain 0 (MQTT-3.2.2-14). */
  readonly retainAvailable: boolean
}

// 65,535 is reserved for SUBSCRIBE and UNSUBSCRIBE, which share the identifiers (MQTT 5 §2.2.1).
const PUBLISH_ID_MAX = 0xfffe

// The largest Remaining Length. It is used as the limit for the whole packet, although the 5 bytes of the fixed header
// do not count towards the Remaining Length.
const MQTT_PACKET_BYTES_MAX = 268_435_455
// Upper bound for the size of a reply's topic and properties.
const HEADER_BYTES_MAX = 256 * 1024

const ACKNOWLEDGED: PublishResult = { kind: 'acknowledged', reasonCode: 0 }

/**
 * Owns the Packet Identifiers of our publishes. Messages are sent in the order of the calls, even across connections,
 * because the parts of an answer must not overtake each other. The callers limit the number of messages:
 * `limits.bytesInFlightMax` applies to the answers, and there are few model cards and status messages.
 */
export class Outbox {
  #link: OutboxLink | undefined
  readonly #inFlight = new InFlight<Entry>(PUBLISH_ID_MAX)
  // Publishes that were in flight when the session was resumed, and have not been resent yet because the number of
  // publishes in flight is limited.
  readonly #toResend = new Set<Entry>()
  // QoS 0 publishes that the socket has not accepted yet.
  readonly #unwritten = new Set<Entry>()
  readonly #search = new HangUpSearch()
  #isClosed = false
  readonly #waiting: (Entry | undefined)[] = []
  #waitingHead = 0
  #turn = 0

  /** Number of publishes that the broker has not acknowledged yet. */
  get pending(): number {
    return this.#inFlight.size + this.#waiting.length - this.#waitingHead
  }

  /**
   * Whether the last two connections were short and ended with the same publish in flight. This publish may be the
   * cause.
   */
  get isSuspicious(): boolean {
    return this.#search.isSuspicious
  }

  /**
   * Sends the message as soon as the connection and the broker's Receive Maximum allow this. Calls `done` exactly
   * once with the result; with QoS 0, when the socket has accepted the message.
   */
  publish(message: OutgoingMessage, done: (result: PublishResult) => void): void {
    if (this.#isClosed) return done({ kind: 'closed' })
    const link = this.#link
    const entry: Entry = { message, done, packetId: 0, turn: 0, strikes: 0, ends: 0 }
    if (link === undefined || this.#waitingHead < this.#waiting.length || this.#isFull(link)) {
      this.#waiting.push(entry)
      return
    }
    this.#send(link, entry)
  }

  /**
   * Starts to send on a new connection. Unacknowledged messages are sent first. A resumed session resends them
   * with DUP and their old identifiers (MQTT 5 §4.4); a new session sends them as new messages.
   */
  connected(link: OutboxLink, sessionPresent: boolean): void {
    this.#link = link
    this.#search.connected()
    const inFlight = this.#inFlight.values().sort((one, other) => one.turn - other.turn)
    if (sessionPresent) {
      for (const entry of inFlight) this.#toResend.add(entry)
      this.#resend(link)
    } else {
      this.#waiting.splice(0, this.#waitingHead, ...inFlight)
      this.#waitingHead = 0
      this.#inFlight.clear()
    }
    this.#drainWaiting()
  }

  /** Handles the end of the connection; all unacknowledged messages are kept for the next connection. */
  disconnected(): void {
    if (this.#link === undefined) return
    this.#link = undefined
    // QoS 0 messages are not sent again (MQTT 5 §4.3.1).
    for (const entry of this.#unwritten) this.#written(entry)
    const sent = this.#inFlight.values().filter((entry) => !this.#toResend.has(entry))
    this.#toResend.clear()
    const found = this.#search.disconnected(sent)
    if (found !== undefined) this.#end(found, { kind: 'undeliverable' })
  }

  /**
   * Handles a PUBACK. Returns false for an identifier that is not in flight, which is a protocol error by the broker.
   */
  acknowledged(packetId: number, reasonCode: number): boolean {
    const entry = this.#inFlight.get(packetId)
    if (entry === undefined) return false
    this.#inFlight.delete(packetId)
    this.#search.acknowledged()
    this.#toResend.delete(entry)
    entry.done(
      reasonCode === 0 ? ACKNOWLEDGED : { kind: reasonCode < 0x80 ? 'acknowledged' : 'refused', reasonCode },
    )
    if (this.#toResend.size > 0 && this.#link !== undefined) this.#resend(this.#link)
    if (this.#waitingHead < this.#waiting.length) this.#drainWaiting()
    return true
  }

  /** Reports `closed` for all pending messages. */
  close(): void {
    const waiting = this.#waiting.slice(this.#waitingHead).filter((entry) => entry !== undefined)
    const left = [...this.#inFlight.values(), ...this.#unwritten, ...waiting]
    this.#isClosed = true
    this.#inFlight.clear()
    this.#toResend.clear()
    this.#unwritten.clear()
    this.#waiting.length = 0
    this.#waitingHead = 0
    this.#link = undefined
    for (const entry of left) entry.done({ kind: 'closed' })
  }

  // Resends publishes with DUP and the old identifier, in the old order (MQTT 5 §4.4). The Receive Maximum may be
  // smaller than before.
  #resend(link: OutboxLink): void {
    let sent = this.#inFlight.size - this.#toResend.size
    for (const entry of this.#toResend) {
      if (sent >= this.#sendMax(link)) return
      this.#toResend.delete(entry)
      if (this.#isUnsendable(link, entry)) continue
      encodePublish(link.writer, allowed(link, entry.message), entry.packetId, DUP, link.protocolVersion)
      sent += 1
    }
  }

  #isFull(link: OutboxLink): boolean {
    return this.#inFlight.size >= Math.min(this.#sendMax(link), PUBLISH_ID_MAX)
  }

  // Returns how many publishes may be in flight now.
  #sendMax(link: OutboxLink): number {
    return Math.min(link.receiveMaximum, this.#search.inFlightMax)
  }

  #drainWaiting(): void {
    const link = this.#link
    while (link !== undefined && this.#waitingHead < this.#waiting.length && !this.#isFull(link)) {
      const entry = this.#waiting[this.#waitingHead]!
      // The array element is cleared now, not only when its block is removed, so that the memory of a large
      // message is freed.
      this.#waiting[this.#waitingHead] = undefined
      this.#waitingHead += 1
      this.#send(link, entry)
    }
    if (this.#waitingHead === this.#waiting.length || this.#waitingHead >= 1024) {
      this.#waiting.splice(0, this.#waitingHead)
      this.#waitingHead = 0
    }
  }

  #send(link: OutboxLink, entry: Entry): void {
    if (this.#isUnsendable(link, entry)) return
    const message = allowed(link, entry.message)
    if (message.qos === 0 || link.maximumQoS === 0) {
      encodePublish(link.writer, { ...message, qos: 0 }, 0, 0, link.protocolVersion)
      // The message counts against the limits of its sender until the socket has accepted it. Otherwise a broker
      // that reads slowly would cause an unlimited backlog.
      this.#unwritten.add(entry)
      link.writer.whenWritten(() => this.#written(entry))
      return
    }
    // `#isFull` was false, so an identifier is free.
    entry.packetId = this.#inFlight.add(entry)
    entry.turn = ++this.#turn
    encodePublish(link.writer, message, entry.packetId, 0, link.protocolVersion)
  }

  #written(entry: Entry): void {
    if (this.#unwritten.delete(entry)) entry.done(ACKNOWLEDGED)
  }

  #isUnsendable(link: OutboxLink, entry: Entry): boolean {
    return this.#isTooLarge(link, entry) || this.#isGivenUp(entry)
  }

  // If the broker has hung up on this message before, reports `undeliverable` and returns true.
  #isGivenUp(entry: Entry): boolean {
    if (!this.#search.isGivenUp(entry.message)) return false
    this.#end(entry, { kind: 'undeliverable' })
    return true
  }

  // If the message is too large for the broker or for MQTT (MQTT 5 §2.1.4), reports `too-large` and returns true.
  #isTooLarge(link: OutboxLink, entry: Entry): boolean {
    const packetBytesMax = Math.min(link.maximumPacketSize, MQTT_PACKET_BYTES_MAX)
    // The size of the topic and properties is limited, so the exact size of the packet matters only if the payload is
    // close to the limit.
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

function allowed({ retainAvailable }: OutboxLink, message: OutgoingMessage): OutgoingMessage {
  return message.retain && !retainAvailable ? { ...message, retain: false } : message
}

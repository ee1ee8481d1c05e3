// The session of one client, connected or not: its subscriptions and its messages.
import type { QoS } from 'mqtt-packet'
import type { BrokerUser } from './access.ts'
import type { Connection } from './connection.ts'
import { isExpired, type Delivery, type Message } from './message.ts'
import { quoted } from './quoted.ts'

/** One topic filter of a session. */
export interface Subscription {
  readonly session: Session
  /** The topic filter in SUBSCRIBE, including `$share/{ShareName}/`. */
  readonly filter: string
  readonly qos: QoS
  readonly isNoLocal: boolean
  readonly isRetainAsPublished: boolean
  readonly identifier: number | undefined
  readonly isShared: boolean
  /** For a shared subscription, the sequence number of the last shared message that this subscription received. */
  lastTurn: number
}

// Limits on the queued and unacknowledged messages of one session; messages above the limits are dropped.
const MESSAGES_MAX = 10_000
const BYTES_MAX = 256 * 1024 * 1024
const PACKET_IDENTIFIER_MAX = 65_535

interface Unacknowledged {
  /** Undefined after PUBREC, because only PUBREL is resent from then on. */
  readonly delivery: Delivery | undefined
}

/** The state of one client. */
export class Session {
  readonly clientId: string
  /** Only this user may resume or end the session. Undefined if the broker requires no login. */
  readonly userName: string | undefined
  readonly subscriptions = new Map<string, Subscription>()
  /** Packet Identifiers of the client's QoS 2 messages whose PUBREL has not arrived. */
  readonly received = new Set<number>()
  /**
   * For how many seconds the session is kept after its connection has ended: 0 = not at all, 0xFFFFFFFF = forever
   * (MQTT 5 §3.1.2.11.2).
   */
  expirySeconds = 0
  readonly #log: (line: string) => void
  // The user of the latest connection.
  #user: BrokerUser | undefined
  #connection: Connection | undefined
  #waiting: Delivery[] = []
  readonly #unacknowledged = new Map<number, Unacknowledged>()
  // Packet Identifiers of the unacknowledged messages that were sent on the current connection. They count against
  // the client's Receive Maximum.
  readonly #sent = new Set<number>()
  #toResend: number[] = []
  #bytes = 0
  #isFull = false
  #lastIdentifier = 0

  constructor(clientId: string, userName: string | undefined, log: (line: string) => void) {
    this.clientId = clientId
    this.userName = userName
    this.#log = log
  }

  get connection(): Connection | undefined {
    return this.#connection
  }

  /** Whether a QoS 1 message would be sent at once. */
  get hasRoom(): boolean {
    return this.#connection?.hasRoom === true && this.#sent.size < this.#connection.receiveMaximum
  }

  /** Whether the session has no queued or unacknowledged messages in either direction. */
  get isEmpty(): boolean {
    return this.#waiting.length + this.#unacknowledged.size + this.received.size === 0
  }

  /** Handles a new connection: resends unacknowledged messages in their original order, then sends queued messages. */
  attach(connection: Connection): void {
    this.#connection = connection
    this.#user = connection.user
    for (const [messageId, { delivery }] of this.#unacknowledged) {
      if (delivery === undefined) connection.send({ cmd: 'pubrel', messageId })
      else this.#toResend.push(messageId)
    }
    this.flush()
  }

  detach(): void {
    this.#connection = undefined
    this.#sent.clear()
    this.#toResend = []
  }

  /** Returns whether the user may read the message. As in Mosquitto, subscriptions are granted without this check. */
  mayRead({ topic }: Message): boolean {
    return this.#user?.may('read', topic) ?? true
  }

  /** Delivers or queues a message. Returns false if the queue is full; QoS 0 messages are never queued. */
  deliver(delivery: Delivery): boolean {
    const { message, qos } = delivery
    if (isExpired(message)) return true
    if (qos > 0) {
      const isKept = this.#enqueue(delivery)
      this.flush()
      return isKept
    }
    if (this.#connection !== undefined && this.mayRead(message)) this.#connection.publish(delivery)
    return true
  }

  /** Sends as many queued messages as Receive Maximum allows (MQTT 5 §4.9). */
  flush(): void {
    while (this.hasRoom) {
      const resendId = this.#toResend.shift()
      if (resendId !== undefined) {
        this.#resend(resendId)
        continue
      }
      const delivery = this.#waiting.shift()
      if (delivery === undefined) return
      this.#sendFirst(delivery)
    }
  }

  /** Handles PUBACK, PUBCOMP, or PUBREC with an error. */
  acknowledge(messageId: number): void {
    this.#settle(messageId)
    this.flush()
  }

  /** Handles PUBREC. Returns false if no message has this identifier. */
  release(messageId: number): boolean {
    const released = this.#unacknowledged.get(messageId)
    if (released === undefined) return false
    if (released.delivery !== undefined) this.#forget(released.delivery)
    this.#unacknowledged.set(messageId, { delivery: undefined })
    return true
  }

  /** Ends the session. Returns the messages that were sent but not acknowledged, and those that were not sent. */
  clear(): { readonly sent: Delivery[]; readonly waiting: Delivery[] } {
    const unacknowledged = [...this.#unacknowledged.values()].map(({ delivery }) => delivery)
    const sent = unacknowledged.filter((delivery) => delivery !== undefined)
    const waiting = this.#waiting
    this.detach()
    this.#unacknowledged.clear()
    this.#waiting = []
    this.#bytes = 0
    return { sent, waiting }
  }

  #sendFirst(delivery: Delivery): void {
    const messageId = this.#nextIdentifier()
    // A discarded message does not count against Receive Maximum (MQTT 5 [MQTT-3.1.2-25], [MQTT-3.3.2-5]).
    const isSent =
      !isExpired(delivery.message) &&
      this.mayRead(delivery.message) &&
      this.#connection?.publish(delivery, messageId) === true
    if (isSent) {
      this.#unacknowledged.set(messageId, { delivery })
      this.#sent.add(messageId)
    } else if (this.#connection?.isOpen === true) {
      this.#forget(delivery)
    } else {
      this.#waiting.unshift(delivery)
    }
  }

  #resend(messageId: number): void {
    const delivery = this.#unacknowledged.get(messageId)?.delivery
    if (delivery === undefined) return
    // MQTT 5 [MQTT-3.3.1-1]
    if (this.mayRead(delivery.message) && this.#connection?.publish(delivery, messageId, true) === true) {
      this.#sent.add(messageId)
    } else if (this.#connection?.isOpen === true) {
      this.#settle(messageId)
    }
  }

  #settle(messageId: number): void {
    const settled = this.#unacknowledged.get(messageId)
    this.#unacknowledged.delete(messageId)
    this.#sent.delete(messageId)
    if (settled?.delivery !== undefined) this.#forget(settled.delivery)
  }

  #enqueue(delivery: Delivery): boolean {
    const count = this.#waiting.length + this.#unacknowledged.size
    const { bytes } = delivery.message
    if (count < MESSAGES_MAX && this.#bytes + bytes <= BYTES_MAX) {
      if (count === 0) this.#isFull = false
      this.#waiting.push(delivery)
      this.#bytes += bytes
      return true
    }
    if (!this.#isFull) {
      this.#isFull = true
      this.#log(
        `MQTT: the queue of client ${quoted(this.clientId, this.clientId.length)} is full (${count} messages, ${this.#bytes} bytes). Further messages for it are dropped.`,
      )
    }
    return false
  }

  #forget({ message }: Delivery): void {
    this.#bytes -= message.bytes
  }

  // There is always a free identifier, because at most MESSAGES_MAX are in use.
  #nextIdentifier(): number {
    do {
      this.#lastIdentifier = (this.#lastIdentifier % PACKET_IDENTIFIER_MAX) + 1
    } while (this.#unacknowledged.has(this.#lastIdentifier))
    return this.#lastIdentifier
  }
}

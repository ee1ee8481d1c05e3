// A received PUBLISH that we must settle. It carries its own acknowledgement; nobody else needs to know MQTT.
import type { MessageProperties, QoS } from '@inferwire/protocol'
import type { AckOrder } from './ack-order.ts'
import { NO_PAYLOAD, NO_PROPERTIES, type ReceivedPublish } from './publish-decoder.ts'

/** One message of the broker, and the duty to settle it. */
export class Delivery {
  readonly topic: string
  /** Empty after `release`. */
  payload: Buffer
  /** Size on the wire. */
  readonly payloadBytes: number
  /** Size of the properties on the wire. */
  readonly propertyBytes: number
  /** False when it was above the session's limit and dropped while it came in. */
  readonly isWhole: boolean
  readonly qos: QoS
  readonly retain: boolean
  /** The broker sent it before. A hint, never a key (MQTT 5 §3.3.1.1). */
  readonly dup: boolean
  readonly packetId: number
  properties: MessageProperties
  /** Monotonic clock, milliseconds (`performance.now()`). */
  readonly receivedAtMs: number
  /** The duty is done: the PUBACK may leave when its turn comes. */
  settled = false
  readonly #ackOrder: AckOrder

  constructor(publish: ReceivedPublish, receivedAtMs: number, ackOrder: AckOrder) {
    this.topic = publish.topic
    this.payload = publish.payload
    this.payloadBytes = publish.payloadBytes
    this.propertyBytes = publish.propertyBytes
    this.isWhole = publish.isWhole
    this.qos = publish.qos
    this.retain = publish.retain
    this.dup = publish.dup
    this.packetId = publish.packetId
    this.properties = publish.properties
    this.receivedAtMs = receivedAtMs
    this.#ackOrder = ackOrder
  }

  /** The connection it came on; a number that grows with every connection. */
  get epoch(): number {
    return this.#ackOrder.epoch
  }

  /** Takes an equal payload in place of its own, which can be freed. */
  sharePayload(payload: Buffer): void {
    this.payload = payload
  }

  /** Forgets payload and properties: a long wait for an acknowledgement must not hold them. */
  release(): void {
    this.payload = NO_PAYLOAD
    this.properties = NO_PROPERTIES
  }

  /** Lets the PUBACK leave, in its turn, and only on the connection on which the PUBLISH came. Idempotent. */
  settle(): void {
    if (this.settled) return
    this.settled = true
    this.#ackOrder.settled(this)
  }
}

// Lets PUBACKs leave in the order in which the PUBLISHes came (MQTT 5 §4.6, MQTT-4.6.0-2), one queue per connection.
import type { Delivery } from './delivery.ts'

/** `strict` keeps the order of the specification; `as-settled` acknowledges at once. */
export type AckOrderKind = 'strict' | 'as-settled'

/**
 * The unacknowledged deliveries of one connection. When the connection ends, so does this queue: Packet Identifiers
 * start again with a new session, and a late PUBACK would delete somebody else's request.
 */
export class AckOrder {
  readonly epoch: number
  readonly #kind: AckOrderKind
  readonly #acknowledge: (packetId: number) => void
  // Deliveries from `#head` on are unacknowledged. Bounded by the Receive Maximum that we announce.
  #queue: (Delivery | undefined)[] = []
  #head = 0
  #unsettled = 0
  #ended = false

  constructor(epoch: number, kind: AckOrderKind, acknowledge: (packetId: number) => void) {
    this.epoch = epoch
    this.#kind = kind
    this.#acknowledge = acknowledge
  }

  /** Deliveries that wait for their acknowledgement, settled ones behind a slow head included. */
  get pending(): number {
    return this.#kind === 'strict' ? this.#queue.length - this.#head : this.#unsettled
  }

  /** Takes note of a QoS 1 delivery, in arrival order. */
  received(delivery: Delivery): void {
    this.#unsettled += 1
    if (this.#kind === 'strict') this.#queue.push(delivery)
  }

  /** Called by the delivery when its duty is done. */
  settled(delivery: Delivery): void {
    if (this.#ended || delivery.qos === 0) return
    this.#unsettled -= 1
    if (this.#kind === 'as-settled') {
      this.#acknowledge(delivery.packetId)
      return
    }
    for (let first = this.#queue[this.#head]; first?.settled === true; first = this.#queue[this.#head]) {
      this.#acknowledge(first.packetId)
      // Not kept until its block goes: it would be moved to where only a full collection looks.
      this.#queue[this.#head] = undefined
      this.#head += 1
    }
    // Drops acknowledged deliveries in blocks: shifting one by one would copy the queue each time.
    if (this.#head === this.#queue.length) {
      this.#queue.length = 0
      this.#head = 0
    } else if (this.#head >= 1024) {
      this.#queue.splice(0, this.#head)
      this.#head = 0
    }
  }

  /** The connection is gone: nothing is acknowledged any more, and the broker will deliver again. */
  end(): void {
    this.#ended = true
    this.#queue = []
    this.#head = 0
  }
}

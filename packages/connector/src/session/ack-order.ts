// Decides when the PUBACK of each delivery is sent: in the order of arrival (MQTT 5 §4.6, MQTT-4.6.0-2), except that
// later PUBACKs may overtake a delivery that has been open for longer than a bound. One instance per connection.
import type { Acknowledgements, ReceivedDelivery } from './delivery.ts'
import { MalformedPacket } from './malformed.ts'
import { IDENTIFIERS, type Identifiers } from './packet-identifiers.ts'
import type { ReceivedPublish } from './publish-decoder.ts'

/**
 * `strict` always keeps the order, `bounded` lets later PUBACKs overtake a delivery that has been open for longer than
 * `ackHoldMaxMs`, and `as-settled` acknowledges immediately.
 */
export type AckOrderKind = 'strict' | 'bounded' | 'as-settled'

/**
 * Stores a request so that its PUBACK can be sent early. Returns the function that `settle` must call, or undefined if
 * the request could not be stored.
 */
export type Keeper = (delivery: ReceivedDelivery) => (() => void) | undefined

/** The options of an ack order. */
export interface AckOrderOptions {
  readonly epoch: number
  /**
   * How long an unsettled delivery may hold back later PUBACKs, in milliseconds. With Infinity it holds them back until
   * it is settled (strict order), with 0 it never holds them back.
   */
  readonly holdMaxMs: number
  /** @default IDENTIFIERS */
  readonly identifiers?: Identifiers | undefined
  /** @default none: a delivery that must give up its identifier holds back all PUBACKs of the connection */
  readonly keeper?: Keeper | undefined
  /** Writes the PUBACK. */
  acknowledge(packetId: number): void
  /**
   * Called when no PUBACK may be sent before this delivery is settled, because its Packet Identifier would be reused.
   */
  heldBack?(delivery: ReceivedDelivery): void
  /** @default none: no reply waits for redeliveries */
  redelivery?(): Promise<void> | undefined
  /** Called when this connection has written its first PUBACK that overtakes an open delivery. */
  overtook?(): void
}

// The places of deliveries run from 1 to 2^30 and wrap around, so that they stay small integers, which need no
// allocation.
const PLACE_MASK = 0x3fff_ffff
// Acknowledged deliveries are removed in blocks, because removing them one by one would copy the queue each time.
const QUEUE_BLOCK = 1024
const OVERDUE_BLOCK = 16
// Limit on the number of deliveries that are handed over in one call, because each hand-over waits for the disk. The
// rest can be handed over later, because half of the identifiers are still unused.
const HAND_OVERS_MAX = 8
const SAME_ID_MAX = 255
// The shortest delay of the timer, so that heads that become overdue shortly after one another are handled together.
const TIMER_MIN_MS = 10
const NO_COUNTS = new Uint8Array(0)

/**
 * The unacknowledged deliveries of one connection. An instance is not used after its connection has ended, because a
 * new session assigns Packet Identifiers afresh, and a late PUBACK would delete another client's request.
 */
export class AckOrder implements Acknowledgements {
  readonly epoch: number
  readonly #options: AckOrderOptions
  readonly #identifiers: Identifiers
  #holdMaxMs: number
  // Deliveries received at or before this time may be overtaken. In `bounded` order the timer advances this time, so
  // that the clock is not read for each acknowledgement.
  #oldBeforeMs: number
  // The deliveries whose order is kept, starting at `#head`; their places are consecutive. Their number is limited by
  // our Receive Maximum or by the broker's window.
  #queue: (ReceivedDelivery | undefined)[] = []
  #head = 0
  // Number of settled deliveries in the queue behind an unsettled head.
  #heldBehindHead = 0
  // Overdue deliveries in the order of arrival; each is acknowledged as soon as it is settled. An array instead of a
  // Set, for the reason given in in-flight.ts. Acknowledged deliveries (place 0) stay in the array until they are the
  // majority.
  #overdue: ReceivedDelivery[] = []
  #overdueHead = 0
  #overdueLeft = 0
  // For each Packet Identifier, the number of unacknowledged deliveries and the number of unsettled ones. A number is
  // above 1 if the broker reused an identifier that was still open.
  #open = new Uint8Array(0x1_0000)
  #unsettled = new Uint8Array(0x1_0000)
  #newest = 0
  // True until a delivery arrives that is not a redelivery (MQTT 5 §4.4).
  #isResuming = true
  #newestId = 0
  // Number of deliveries that can still arrive before an overdue delivery must give up its identifier.
  #untilLeave = 0
  #pending = 0
  #pendingMax = 0
  #firstOvertaking = 0
  #openIfIgnoredAtEnd = 0
  #heldBy: ReceivedDelivery | undefined
  // Runs only while a settled delivery is held behind a head that is not yet overdue.
  #timer: NodeJS.Timeout | undefined
  #ended = false

  constructor(options: AckOrderOptions) {
    this.epoch = options.epoch
    this.#options = options
    this.#identifiers = options.identifiers ?? IDENTIFIERS
    this.#holdMaxMs = options.holdMaxMs
    this.#oldBeforeMs = oldBeforeMs(options.holdMaxMs)
  }

  get hasEnded(): boolean {
    return this.#ended
  }

  get redelivery(): Promise<void> | undefined {
    return this.#options.redelivery?.()
  }

  /** Number of unacknowledged deliveries, including settled ones that are held behind a slow head. */
  get pending(): number {
    return this.#pending
  }

  /**
   * Largest number of deliveries that were unacknowledged at the same time; the broker's window is at least that large.
   */
  get pendingMax(): number {
    return this.#pendingMax
  }

  /** The place of the newest delivery; it changes with each delivery. */
  get newest(): number {
    return this.#newest
  }

  /**
   * Number of deliveries that would be open if the broker ignored every overtaking PUBACK; 0 if no such PUBACK was
   * sent.
   */
  get openIfIgnored(): number {
    if (this.#firstOvertaking === 0 || this.#ended) return this.#openIfIgnoredAtEnd
    const sinceOldest = this.#overdueLeft > 0 ? this.#distance(this.#overdue[this.#overdueHead]!.place) : 0
    return 1 + Math.max(sinceOldest, this.#distance(this.#firstOvertaking))
  }

  /**
   * Whether a PUBLISH with DUP repeats an open delivery of this connection. The identifier alone does not prove it:
   * after a wrap-around a broker may redeliver two messages with the same identifier, and both must be answered.
   */
  holds(publish: ReceivedPublish): boolean {
    if (this.#open[publish.packetId] === 0) return false
    const isIt = (held: ReceivedDelivery | undefined): boolean => isResend(held, publish)
    return this.#overdue.some(isIt) || this.#queue.some(isIt)
  }

  /**
   * Registers a QoS 1 delivery. Must be called in the order of arrival.
   * @throws MalformedPacket if too many open deliveries have the same identifier.
   */
  received(delivery: ReceivedDelivery): void {
    const { packetId } = delivery
    const open = this.#open[packetId]!
    if (open === SAME_ID_MAX)
      throw new MalformedPacket(
        `Packet Identifier ${packetId} is in use by ${open} unacknowledged messages (MQTT 5 §2.2.1)`,
      )
    this.#open[packetId] = open + 1
    this.#unsettled[packetId]! += 1
    this.#newest = (this.#newest & PLACE_MASK) + 1
    delivery.place = this.#newest
    this.#pending += 1
    if (this.#pending > this.#pendingMax) this.#pendingMax = this.#pending
    this.#queue.push(delivery)
    if (this.#isResuming) this.#resumes(delivery)
    if (this.#overdueLeft > 0 && --this.#untilLeave <= 0 && this.#heldBy === undefined)
      this.#freeIdentifiers()
  }

  /** Registers that a delivery has been settled. */
  settled(delivery: ReceivedDelivery): void {
    if (delivery.place === 0 || this.#ended) return
    const { packetId } = delivery
    const isOverdue = this.#overdueLeft > 0 && this.#isOverdue(delivery)
    if (!isOverdue) this.#heldBehindHead += 1
    this.#unsettled[packetId]! -= 1
    if (this.#heldBy !== undefined) this.#releaseHeld()
    else if (this.#open[packetId]! > 1) this.#release()
    else if (isOverdue) this.#acknowledgeOverdue(delivery)
    else this.#advance()
  }

  /** Changes how long deliveries may hold back later PUBACKs, on a connection that began with strict order. */
  hold(holdMaxMs: number): void {
    this.#holdMaxMs = holdMaxMs
    this.#oldBeforeMs = oldBeforeMs(holdMaxMs)
    if (!this.#ended && this.#heldBy === undefined) this.#advance()
  }

  /** Handles the end of the connection: no further PUBACK is sent, and the broker will redeliver. */
  end(): void {
    this.#openIfIgnoredAtEnd = this.openIfIgnored
    this.#ended = true
    clearTimeout(this.#timer)
    // Running calls keep this object in memory through their deliveries, so its arrays are released now.
    this.#queue = []
    this.#overdue = []
    this.#open = this.#unsettled = NO_COUNTS
  }

  // Acknowledges from the head of the queue, up to a delivery that is neither done nor overdue.
  #advance(): void {
    const queue = this.#queue
    for (let first = queue[this.#head]; first !== undefined; first = queue[this.#head]) {
      const isDone = this.#isDone(first)
      if (!isDone && (this.#heldBehindHead === 0 || first.receivedAtMs > this.#oldBeforeMs)) break
      // The array element is cleared now, before its block is removed: otherwise V8 would move the delivery to old
      // space, which only a full garbage collection clears.
      queue[this.#head] = undefined
      this.#head += 1
      if (first.settled) this.#heldBehindHead -= 1
      if (isDone) this.#acknowledge(first, this.#overdueLeft > 0)
      else if (!this.#becomesOverdue(first)) break
    }
    if (this.#head === queue.length) {
      queue.length = 0
      this.#head = 0
    } else if (this.#head >= QUEUE_BLOCK) {
      queue.splice(0, this.#head)
      this.#head = 0
    }
    if (this.#heldBehindHead > 0 && this.#timer === undefined) this.#armTimer()
  }

  // If two messages share an identifier, the PUBACK may delete either of them, so both must be settled first.
  #isDone({ packetId }: ReceivedDelivery): boolean {
    return this.#unsettled[packetId] === 0
  }

  #acknowledge(delivery: ReceivedDelivery, overtakes: boolean): void {
    const isFirstOvertaking = overtakes && this.#firstOvertaking === 0
    if (isFirstOvertaking) this.#firstOvertaking = delivery.place
    this.#open[delivery.packetId]! -= 1
    this.#pending -= 1
    delivery.place = 0
    this.#options.acknowledge(delivery.packetId)
    if (isFirstOvertaking) this.#options.overtook?.()
  }

  // Starts the timer that makes the head overdue, so that the settled deliveries behind it are acknowledged even if
  // nothing else happens.
  #armTimer(): void {
    const head = this.#queue[this.#head]
    if (head === undefined || this.#holdMaxMs === Number.POSITIVE_INFINITY) return
    const waitMs = Math.max(TIMER_MIN_MS, this.#holdMaxMs - (performance.now() - head.receivedAtMs))
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#oldBeforeMs = performance.now() - this.#holdMaxMs
      if (this.#heldBy === undefined) this.#advance()
    }, waitMs)
    this.#timer.unref()
  }

  // Adds the delivery to the overdue deliveries. Returns false if no further PUBACK may be sent.
  #becomesOverdue(delivery: ReceivedDelivery): boolean {
    const untilLeave = this.#identifiers.distanceMax - this.#identifierDistance(delivery)
    this.#untilLeave = this.#overdueLeft === 0 ? untilLeave : Math.min(this.#untilLeave, untilLeave)
    this.#overdue.push(delivery)
    this.#overdueLeft += 1
    return untilLeave > 0 || this.#freeIdentifiers()
  }

  #isOverdue({ place }: ReceivedDelivery): boolean {
    return this.#distance(place) >= this.#queue.length - this.#head
  }

  #acknowledgeOverdue(delivery: ReceivedDelivery): void {
    this.#acknowledge(delivery, delivery !== this.#overdue[this.#overdueHead])
    this.#overdueLeft -= 1
    if (this.#overdueLeft === 0) {
      this.#overdue.length = 0
      this.#overdueHead = 0
      return
    }
    while (this.#overdue[this.#overdueHead]!.place === 0) this.#overdueHead += 1
    if (this.#overdue.length < OVERDUE_BLOCK + 2 * this.#overdueLeft) return
    this.#overdue = this.#overdue.filter(({ place }) => place > 0)
    this.#overdueHead = 0
  }

  // Number of deliveries that arrived after the delivery at this place.
  #distance(place: number): number {
    return (this.#newest - place) & PLACE_MASK
  }

  // Number of identifiers that the broker has assigned since it assigned this delivery's identifier. For a redelivery,
  // this number is larger than the number of later deliveries on this connection, because the broker's counter either
  // continues from the previous connection, or restarts among identifiers that are still in use.
  #identifierDistance({ place, packetId, lead }: ReceivedDelivery): number {
    return this.#isResuming ? this.#idsSince(packetId) : this.#distance(place) + lead
  }

  #idsSince(packetId: number): number {
    const { count } = this.#identifiers
    return (this.#newestId - packetId + count) % count
  }

  #resumes(delivery: ReceivedDelivery): void {
    this.#newestId = delivery.packetId
    if (delivery.dup) return
    this.#isResuming = false
    const redelivered = this.#queue.slice(this.#head, -1) as ReceivedDelivery[]
    for (const other of [...this.#overdue, ...redelivered])
      other.lead = this.#idsSince(other.packetId) - this.#distance(other.place)
    if (this.#holdMaxMs === Number.POSITIVE_INFINITY || this.#heldBy !== undefined) return
    // A redelivery is overdue if the broker will soon reuse its identifier, even on a new connection.
    const last = redelivered.findLastIndex(
      (other) => this.#identifierDistance(other) >= this.#identifiers.distanceMax,
    )
    for (const other of redelivered.slice(0, last + 1)) {
      this.#queue[this.#head] = undefined
      this.#head += 1
      if (other.settled) this.#heldBehindHead -= 1
      if (!this.#becomesOverdue(other)) return
    }
    if (this.#overdueLeft > 0) this.#release()
  }

  // Makes overdue deliveries give up their identifiers in time, or stops all acknowledgements. Returns false if
  // acknowledgements are stopped.
  #freeIdentifiers(): boolean {
    this.#untilLeave = Number.POSITIVE_INFINITY
    let handedOver = 0
    for (const delivery of this.#overdue.slice(this.#overdueHead)) {
      if (delivery.place === 0 || this.#isDone(delivery)) continue
      const untilLeave = this.#identifiers.distanceMax - this.#identifierDistance(delivery)
      if (untilLeave > 0) {
        this.#untilLeave = Math.min(this.#untilLeave, untilLeave)
      } else if (handedOver === HAND_OVERS_MAX) {
        this.#untilLeave = 1
        return true
      } else if (!this.#handOver(delivery)) {
        this.#heldBy = delivery
        this.#options.heldBack?.(delivery)
        return false
      } else {
        handedOver += 1
      }
    }
    return true
  }

  #handOver(delivery: ReceivedDelivery): boolean {
    // A settled delivery cannot be handed over. It is unacknowledged only because another message with the same
    // identifier is not settled yet.
    if (delivery.settled || delivery.isHandedOver) return false
    const settled = this.#options.keeper?.(delivery)
    if (settled === undefined) return false
    delivery.handOver(settled)
    this.#unsettled[delivery.packetId]! -= 1
    if (!this.#isDone(delivery)) return false
    this.#acknowledgeOverdue(delivery)
    return true
  }

  #releaseHeld(): void {
    if (!this.#isDone(this.#heldBy!)) return
    this.#heldBy = undefined
    this.#release()
  }

  // Acknowledges every delivery that is done, in the order of arrival. Identifiers are freed first, because each PUBACK
  // lets the broker assign further identifiers.
  #release(): void {
    if (!this.#freeIdentifiers()) return
    for (const delivery of this.#overdue.slice(this.#overdueHead)) {
      if (delivery.place > 0 && this.#isDone(delivery)) this.#acknowledgeOverdue(delivery)
    }
    this.#advance()
  }
}

function oldBeforeMs(holdMaxMs: number): number {
  return holdMaxMs === 0 ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY
}

// A released delivery no longer has a payload to compare, so its redelivery is handled as new, and answered from
// memory.
function isResend(held: ReceivedDelivery | undefined, publish: ReceivedPublish): boolean {
  if (held === undefined || held.place === 0 || held.packetId !== publish.packetId) return false
  return (
    held.topic === publish.topic &&
    held.payload.equals(publish.payload) &&
    isSame(held.properties.correlationData, publish.properties.correlationData)
  )
}

function isSame(left: Uint8Array | undefined, right: Uint8Array | undefined): boolean {
  return left === undefined || right === undefined ? left === right : Buffer.compare(left, right) === 0
}

// Decides when the PUBACK of each delivery may leave: in the order of arrival (MQTT 5 §4.6, MQTT-4.6.0-2), which is
// given up only behind a delivery that is open for longer than a bound. One instance per connection.
import type { Acknowledgements, ReceivedDelivery } from './delivery.ts'
import { MalformedPacket } from './malformed.ts'
import type { ReceivedPublish } from './publish-decoder.ts'

/**
 * `strict` keeps the order at any price, `bounded` gives it up behind a delivery that is open for longer than
 * `ackHoldMaxMs`, and `as-settled` acknowledges at once.
 */
export type AckOrderKind = 'strict' | 'bounded' | 'as-settled'

/** Takes over a request, so that its PUBACK may leave. Returns what its `settle` must call; undefined = it cannot. */
export type Keeper = (delivery: ReceivedDelivery) => (() => void) | undefined

/** What an order is made with. */
export interface AckOrderOptions {
  readonly epoch: number
  /** Order is kept behind a head that is younger than this, in milliseconds: Infinity = always, 0 = never. */
  readonly holdMaxMs: number
  /** @default IDENTIFIERS */
  readonly identifiers?: Identifiers | undefined
  /** @default none: a delivery that must leave its identifier holds back the connection */
  readonly keeper?: Keeper | undefined
  /** Writes the PUBACK. */
  acknowledge(packetId: number): void
  /** Nothing more is acknowledged until this delivery is settled: its Packet Identifier would be used again. */
  heldBack?(delivery: ReceivedDelivery): void
  /** @default none: nothing waits for what the broker redelivers */
  redelivery?(): Promise<void> | undefined
  /** The first PUBACK of this connection that overtakes another one has been written. */
  overtook?(): void
}

/** The Packet Identifiers of the broker. */
export interface Identifiers {
  /** They are 1 to this one. */
  readonly count: number
  /** A delivery must leave its identifier when this many followed it. */
  readonly distanceMax: number
}

/**
 * Many brokers give out Packet Identifiers by counting and do not look whether one is still open: the 65,535th PUBLISH
 * after a held one has its identifier, and one PUBACK deletes the wrong one of the two. A delivery leaves half-way.
 */
export const IDENTIFIERS: Identifiers = { count: 65_535, distanceMax: 32_768 }

// Places are 1 to 2^30, over and over: they stay small integers, which cost no allocation.
const PLACE_MASK = 0x3fff_ffff
// Acknowledged deliveries are dropped from the queue in blocks: shifting one by one would copy the queue each time.
const QUEUE_BLOCK = 1024
const OVERDUE_BLOCK = 16
// Each waits for the disk; there is half of all identifiers left to do the others in.
const HAND_OVERS_MAX = 8
const SAME_ID_MAX = 255
// Where one head after the other becomes old, they are looked at together.
const TIMER_MIN_MS = 10
const NO_COUNTS = new Uint8Array(0)

/**
 * The unacknowledged deliveries of one connection. When the connection ends, so does this order: Packet Identifiers
 * start again with a new session, and a late PUBACK would delete the request of another client.
 */
export class AckOrder implements Acknowledgements {
  readonly epoch: number
  readonly #options: AckOrderOptions
  readonly #identifiers: Identifiers
  #holdMaxMs: number
  // Order is given up behind deliveries that were received at this time or before. Bounded: the timer moves it on, so
  // that no clock is read for each acknowledgement.
  #oldBeforeMs: number
  // Deliveries whose order is kept: from `#head` on, each has the place after the one before. Bounded by the Receive
  // Maximum that we announce, or by the window of the broker.
  #queue: (ReceivedDelivery | undefined)[] = []
  #head = 0
  // Settled deliveries in the queue, behind a head that is not.
  #heldBehindHead = 0
  // Older ones, each acknowledged alone when it is settled, in order of arrival. An array and not a Set: see in-flight.ts.
  // Acknowledged ones (place 0) stay until they are the smaller part no more.
  #overdue: ReceivedDelivery[] = []
  #overdueHead = 0
  #overdueLeft = 0
  // By Packet Identifier: deliveries that are not acknowledged, and not settled. Above 1 where the broker used an open
  // identifier again.
  #open = new Uint8Array(0x1_0000)
  #unsettled = new Uint8Array(0x1_0000)
  #newest = 0
  // Until the first delivery that is not redelivered (MQTT 5 §4.4).
  #isResuming = true
  #newestId = 0
  // Deliveries that may follow before an overdue one must leave its identifier.
  #untilLeave = 0
  #pending = 0
  #pendingMax = 0
  #firstOvertaking = 0
  #openIfIgnoredAtEnd = 0
  #heldBy: ReceivedDelivery | undefined
  // Armed only while a settled delivery is held behind a young head; at most one.
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

  /** Deliveries that wait for their acknowledgement, settled ones behind a slow head included. */
  get pending(): number {
    return this.#pending
  }

  /** The most that waited at once: the broker's window is at least that large. */
  get pendingMax(): number {
    return this.#pendingMax
  }

  /** The place of the newest delivery. It changes with each one. */
  get newest(): number {
    return this.#newest
  }

  /** Deliveries that a broker would still count as open which ignored every PUBACK that overtook another one; else 0. */
  get openIfIgnored(): number {
    if (this.#firstOvertaking === 0 || this.#ended) return this.#openIfIgnoredAtEnd
    const sinceOldest = this.#overdueLeft > 0 ? this.#distance(this.#overdue[this.#overdueHead]!.place) : 0
    return 1 + Math.max(sinceOldest, this.#distance(this.#firstOvertaking))
  }

  /**
   * Whether a PUBLISH with DUP is a delivery of this connection that is still open. The identifier alone does not tell:
   * once identifiers have come round, a broker may redeliver two messages under one of them, and each must be answered.
   */
  holds(publish: ReceivedPublish): boolean {
    if (this.#open[publish.packetId] === 0) return false
    const isIt = (held: ReceivedDelivery | undefined): boolean => isResend(held, publish)
    return this.#overdue.some(isIt) || this.#queue.some(isIt)
  }

  /**
   * Takes note of a QoS 1 delivery, in arrival order.
   * @throws MalformedPacket when the broker uses one open identifier again and again.
   */
  received(delivery: ReceivedDelivery): void {
    const { packetId } = delivery
    const open = this.#open[packetId]!
    if (open === SAME_ID_MAX)
      throw new MalformedPacket(`Packet Identifier ${packetId} is open ${open} times (MQTT 5 §2.2.1)`)
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

  /** Called by the delivery when its duty is done. */
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

  /** Changes the bound, for a connection that began strictly. */
  hold(holdMaxMs: number): void {
    this.#holdMaxMs = holdMaxMs
    this.#oldBeforeMs = oldBeforeMs(holdMaxMs)
    if (!this.#ended && this.#heldBy === undefined) this.#advance()
  }

  /** The connection is gone: nothing is acknowledged any more, and the broker will deliver again. */
  end(): void {
    this.#openIfIgnoredAtEnd = this.openIfIgnored
    this.#ended = true
    clearTimeout(this.#timer)
    // Calls that still run hold their delivery, and with it this object.
    this.#queue = []
    this.#overdue = []
    this.#open = this.#unsettled = NO_COUNTS
  }

  // Goes on from the head of the queue, until one is neither done nor old.
  #advance(): void {
    const queue = this.#queue
    for (let first = queue[this.#head]; first !== undefined; first = queue[this.#head]) {
      const isDone = this.#isDone(first)
      if (!isDone && (this.#heldBehindHead === 0 || first.receivedAtMs > this.#oldBeforeMs)) break
      // Not kept until its block goes: it would be moved to where only a full collection looks.
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

  // Of two messages under one identifier the first PUBACK deletes the one or the other: it waits until both are settled.
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

  // For the moment in which the head becomes old: what is settled behind it must leave although nothing else happens.
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

  // Returns false when nothing more may be acknowledged.
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

  // Deliveries that came after the one at this place.
  #distance(place: number): number {
    return (this.#newest - place) & PLACE_MASK
  }

  // How many identifiers the broker has given out since this one. It goes on counting where it was on the connection
  // before, or begins afresh in the middle of old ones: what was redelivered has more behind it than this connection saw.
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
    // What the broker's counter will meet soon is old, however young the connection is.
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

  // Overdue deliveries leave their identifiers in time, or hold back the connection. Returns false when it is held.
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
    // What is settled waits for another message under its identifier: nobody can take that over.
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

  // Acknowledges all that is done, in order of arrival; but first what must leave: each PUBACK lets the broker count on.
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

// A released delivery has nothing left to compare, so what is resent for it is handled anew, and answered from memory.
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

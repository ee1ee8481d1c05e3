// Two sessions receive each request of a lane's model: decides what happens to the copy of the main session.
import { hash } from 'node:crypto'
import type { Delivery } from '../step.ts'
import { RecentSet } from './recent-set.ts'

/** What is done with the copies of the main session. */
export interface CopyHandler {
  /** The lane has its own copy: this one is settled without a call. */
  readonly drop: (delivery: Delivery) => void
  /** The lane does not have it, or that is not known: it is handled like any other request. */
  readonly handle: (delivery: Delivery) => void
  /** Bytes that this process may hold; copies that wait for the lane count. */
  readonly budget: { hasRoom(bytes: number): boolean; take(bytes: number): void; give(bytes: number): void }
}

/** Equal copies: more than one where a client repeats, or where the broker redelivers on a new connection. */
interface Held {
  readonly deliveries: Delivery[]
  bytes: number
  timer: NodeJS.Timeout | undefined
}

// The two sessions deliver the same request within milliseconds, unless one of them has a backlog.
const GRACE_MS = 2_000
// After that the main session serves the model; a lane that returns answers its copies from memory where it can.
const AWAY_MAX_MS = 60_000
// Fingerprints of requests that one session delivered before the other.
const RECENT_MAX = 4_096

/**
 * One for each name of a model on the topics. The broker forwards a request to both sessions at the same time, and each
 * delivers in order. So once both have delivered the same request, every later one comes on both, and the main session's
 * copies can be dropped. Before that a copy may be older than the lane, and then it is the only one: it is held until the
 * lane delivers the same request, and handled when the lane does not. While the lane is away its copies are held: a broker
 * that forgot the lane has forgotten its copies.
 */
export class LaneCopies {
  readonly #handler: CopyHandler
  /**
   * `down`: the lane gets nothing. `apart`: it is ready, but the two have not met. `met`: both deliver the same. `away`:
   * met, and disconnected. `leaving`: the lane is about to get nothing. `stopped`: nothing new is begun.
   */
  #state: 'down' | 'apart' | 'met' | 'away' | 'leaving' | 'stopped' = 'down'
  // By fingerprint, in order of arrival. Bounded by the byte budget.
  readonly #held = new Map<string, Held>()
  readonly #onLane = new RecentSet(RECENT_MAX)
  readonly #handledHere = new RecentSet(RECENT_MAX)
  #awayTimer: NodeJS.Timeout | undefined

  constructor(handler: CopyHandler) {
    this.#handler = handler
  }

  /** Different copies that wait for the lane. */
  get held(): number {
    return this.#held.size
  }

  /** The lane is connected and subscribed. `isMet`: it is known that it gets what the main session gets. */
  laneReady(isMet: boolean): void {
    if (this.#state === 'leaving' || this.#state === 'stopped') return
    clearTimeout(this.#awayTimer)
    this.#onLane.clear()
    this.#handledHere.clear()
    if (isMet) return this.#meet()
    this.#state = 'apart'
    for (const [fingerprint, held] of this.#held) this.#startTimer(fingerprint, held)
  }

  /** The lane's connection ended. */
  laneGone(): void {
    if (this.#state === 'apart') return this.#down()
    if (this.#state !== 'met') return
    this.#state = 'away'
    this.#awayTimer = setTimeout(() => this.#down(), AWAY_MAX_MS)
    this.#awayTimer.unref()
  }

  /** The lane is about to unsubscribe: until it has, only its own delivery proves that it got a request. */
  laneLeaving(): void {
    if (this.#state === 'down' || this.#state === 'stopped') return
    clearTimeout(this.#awayTimer)
    this.#state = 'leaving'
    for (const [fingerprint, held] of this.#held) this.#startTimer(fingerprint, held)
  }

  /** The lane gets nothing any more: the main session serves its model. */
  laneLeft(): void {
    if (this.#state !== 'stopped') this.#down()
  }

  /** A delivery on the lane. */
  onLane(delivery: Delivery): void {
    if (this.#state !== 'apart' && this.#state !== 'leaving') return
    const fingerprint = fingerprintOf(delivery)
    this.#onLane.add(fingerprint)
    if (this.#held.has(fingerprint)) this.#sameOnBoth(fingerprint)
    // What is held came after the one that was handled here.
    else if (this.#state === 'apart' && this.#handledHere.has(fingerprint)) this.#meet()
  }

  /** A copy on the main session. */
  onMain(delivery: Delivery): void {
    switch (this.#state) {
      case 'stopped':
        return
      case 'down':
        return this.#handler.handle(delivery)
      case 'met':
        // A redelivered one may be older than the lane, and run here: it joins its call, or gets the remembered answer.
        return delivery.dup ? this.#handler.handle(delivery) : this.#handler.drop(delivery)
      case 'away':
      case 'apart':
      case 'leaving':
        return this.#hold(delivery)
    }
  }

  /** Nothing more is begun; what is held stays unsettled, and is redelivered to the next process. */
  stop(): void {
    clearTimeout(this.#awayTimer)
    this.#state = 'stopped'
    for (const { timer, bytes } of this.#held.values()) {
      clearTimeout(timer)
      this.#handler.budget.give(bytes)
    }
    this.#held.clear()
  }

  #hold(delivery: Delivery): void {
    const bytes = delivery.payload.length + delivery.propertyBytes
    if (!this.#handler.budget.hasRoom(bytes)) return this.#handler.handle(delivery)
    this.#handler.budget.take(bytes)
    const fingerprint = fingerprintOf(delivery)
    const known = this.#held.get(fingerprint)
    if (known !== undefined) {
      known.deliveries.push(delivery)
      known.bytes += bytes
      return
    }
    const held: Held = { deliveries: [delivery], bytes, timer: undefined }
    this.#held.set(fingerprint, held)
    if (this.#onLane.has(fingerprint)) this.#sameOnBoth(fingerprint)
    else if (this.#state !== 'away') this.#startTimer(fingerprint, held)
  }

  // What came before it may be older than the lane. What comes after it may be too late for a lane that leaves.
  #sameOnBoth(fingerprint: string): void {
    if (this.#state === 'leaving') return this.#end(fingerprint, this.#handler.drop)
    for (const earlier of this.#held.keys()) {
      if (earlier === fingerprint) break
      this.#end(earlier, this.#handler.handle)
    }
    this.#meet()
  }

  #meet(): void {
    this.#state = 'met'
    this.#onLane.clear()
    this.#handledHere.clear()
    for (const fingerprint of this.#held.keys()) this.#end(fingerprint, this.#handler.drop)
  }

  #down(): void {
    clearTimeout(this.#awayTimer)
    this.#state = 'down'
    for (const fingerprint of this.#held.keys()) this.#end(fingerprint, this.#handler.handle)
  }

  #startTimer(fingerprint: string, held: Held): void {
    clearTimeout(held.timer)
    held.timer = setTimeout(() => {
      this.#handledHere.add(fingerprint)
      this.#end(fingerprint, this.#handler.handle)
    }, GRACE_MS)
    held.timer.unref()
  }

  #end(fingerprint: string, how: (delivery: Delivery) => void): void {
    const held = this.#held.get(fingerprint)
    if (held === undefined) return
    this.#held.delete(fingerprint)
    clearTimeout(held.timer)
    this.#handler.budget.give(held.bytes)
    for (const delivery of held.deliveries) how(delivery)
  }
}

const NO_BYTES = new Uint8Array(0)

function fingerprintOf({ topic, properties, payload }: Delivery): string {
  const { correlationData = NO_BYTES } = properties
  const name = Buffer.from(`${topic}\0${correlationData.length}\0`)
  return hash('sha1', Buffer.concat([name, correlationData, payload]), 'base64url')
}

// Decides which copy of a request is handled: for a model with a lane, both sessions receive each request.
import { hash } from 'node:crypto'
import { bytesToDigest } from '../duplicates/index.ts'
import type { Delivery } from '../step.ts'
import { CopyLedger } from './copy-ledger.ts'
import { RecentSet } from './recent-set.ts'

/** Actions on the copies. */
export interface CopyHandler {
  /** Settles the copy without a call to the model, because the other session handles its own copy. */
  readonly drop: (delivery: Delivery) => void
  /** Handles the copy like any other request, because the other session might not have it. */
  readonly handle: (delivery: Delivery) => void
  /**
   * Whether identical copies belong to the same request, because the client gave it an id or Correlation Data.
   * Undefined if other connectors share the subscriptions and receive some of the copies.
   */
  readonly isNamed: ((delivery: Delivery) => boolean) | undefined
  /** The bytes that this process may hold, including copies that wait for the lane. */
  readonly budget: { hasRoom(bytes: number): boolean; take(bytes: number): void; give(bytes: number): void }
}

/**
 * The identical copies of a request: more than one if a client repeats a request, or if the broker redelivers on a new
 * connection.
 */
interface Held {
  readonly deliveries: Delivery[]
  bytes: number
  timer: NodeJS.Timeout | undefined
}

// Both sessions deliver a request within milliseconds of each other, unless one of them has a backlog.
const GRACE_MS = 2_000
// How long a lane may be disconnected before the main session serves its model. A lane that returns later answers its
// copies from memory if possible.
const AWAY_MAX_MS = 60_000
// Limit on the fingerprints of requests that only one session has delivered so far.
const RECENT_MAX = 4_096

/**
 * Handles the copies of requests whose topic contains one particular model name.
 * The broker forwards a request to both sessions at the same time, and each session delivers in order. Once both
 * sessions have delivered the same request (they have met), both receive every later request, and the main session's
 * copies can be dropped. Before that, the main session may have the only copy of a request, if the request is older
 * than the lane. Such a copy is held until the lane delivers the same request, and handled if the lane does not deliver
 * it. While the lane is disconnected, copies are held, because a broker that discards the lane's session also discards
 * its copies.
 */
export class LaneCopies {
  readonly #handler: CopyHandler
  /**
   * `down`: the lane receives nothing. `apart`: it is ready, but the sessions have not met. `met`: both receive the
   * same requests. `away`: met, but the lane is disconnected. `leaving`: the lane is unsubscribing. `left`: it has
   * unsubscribed, but copies of its last requests may still arrive on the main session. `stopped`: no new request is
   * started.
   */
  #state: 'down' | 'apart' | 'met' | 'away' | 'leaving' | 'left' | 'stopped' = 'down'
  // Held copies by fingerprint, in the order of arrival; the byte budget limits their size.
  readonly #held = new Map<string, Held>()
  readonly #onLane = new RecentSet(RECENT_MAX)
  readonly #handledHere = new RecentSet(RECENT_MAX)
  // Fingerprints of the named requests that the main session has received.
  readonly #onMain = new RecentSet(RECENT_MAX)
  // Counts copies of named requests. Counting is necessary because the lane may subscribe or unsubscribe between two
  // identical requests, and the order of deliveries on one connection says nothing about the order on the other.
  readonly #ledger = new CopyLedger(RECENT_MAX, GRACE_MS)
  // Fingerprint of the first match since the lane subscribed.
  #firstMatch: string | undefined
  #awayTimer: NodeJS.Timeout | undefined
  #leftAtMs = 0

  constructor(handler: CopyHandler) {
    this.#handler = handler
  }

  /** Number of different copies that wait for the lane. */
  get held(): number {
    return this.#held.size
  }

  /**
   * Records that the lane is connected and subscribed. `isMet`: the lane is known to receive the same requests as the
   * main session.
   */
  laneReady(isMet: boolean): void {
    if (this.#state === 'leaving' || this.#state === 'left' || this.#state === 'stopped') return
    clearTimeout(this.#awayTimer)
    this.#onLane.clear()
    this.#handledHere.clear()
    if (isMet) return this.#meet()
    this.#state = 'apart'
    this.#firstMatch = undefined
    for (const [fingerprint, held] of this.#held) this.#startTimer(fingerprint, held)
  }

  /** Handles the end of the lane's connection. */
  laneGone(): void {
    if (this.#state === 'apart') return this.#down()
    // The lane cannot unsubscribe before it reconnects, and copies must not wait for that.
    if (this.#state === 'leaving') return this.laneLeft()
    if (this.#state !== 'met') return
    this.#state = 'away'
    this.#awayTimer = setTimeout(() => this.#down(), AWAY_MAX_MS)
    this.#awayTimer.unref()
  }

  /**
   * Records that the lane is unsubscribing: until it has unsubscribed, only a delivery on the lane proves that the lane
   * received the request.
   */
  laneLeaving(): void {
    if (this.#state === 'down' || this.#state === 'left' || this.#state === 'stopped') return
    clearTimeout(this.#awayTimer)
    this.#state = 'leaving'
    for (const [fingerprint, held] of this.#held) this.#startTimer(fingerprint, held)
  }

  /** Records that the lane no longer receives anything: the main session serves its model. */
  laneLeft(): void {
    if (this.#state === 'stopped') return
    this.#down()
    this.#state = 'left'
    this.#leftAtMs = performance.now()
  }

  /**
   * Records that the lane is about to subscribe, possibly again. Requests that it received before do not prove that it
   * receives the current ones.
   */
  laneJoins(): void {
    if (this.#state !== 'stopped') this.#down()
  }

  /** Whether the lane has left so long ago that no copies of its requests are expected any more. */
  get hasLeft(): boolean {
    return this.#state === 'left' && performance.now() - this.#leftAtMs > GRACE_MS
  }

  /** Handles or drops a delivery on the lane. */
  onLane(delivery: Delivery): void {
    const isCounted = this.#isCounted(delivery)
    if (!isCounted && this.#state !== 'apart' && this.#state !== 'leaving')
      return this.#handler.handle(delivery)
    const fingerprint = fingerprintOf(delivery)
    if (isCounted && this.#ledger.takeHandledOnMain(fingerprint)) {
      // The delivery may instead be the counterpart of a later copy on the main session, which is held or has not
      // arrived.
      if (this.#held.has(fingerprint)) this.#end(fingerprint, 'handle')
      else this.#ledger.owe(fingerprint)
      return this.#handler.drop(delivery)
    }
    if (this.#state === 'met') this.#dropOne(fingerprint)
    else this.#noteOnLane(fingerprint, isCounted)
    if (isCounted) this.#ledger.handledOnLane(fingerprint)
    this.#handler.handle(delivery)
  }

  #noteOnLane(fingerprint: string, isNamed: boolean): void {
    if (this.#state !== 'apart' && this.#state !== 'leaving') return
    this.#onLane.add(fingerprint)
    if (this.#held.has(fingerprint)) return this.#sameOnBoth(fingerprint, isNamed)
    const isHandledHere = this.#state === 'apart' && this.#handledHere.has(fingerprint)
    // All held copies arrived after the copy that was handled here.
    if (isHandledHere && this.#isProof(fingerprint, isNamed)) this.#meet()
  }

  /** Handles, holds or drops a copy on the main session. */
  onMain(delivery: Delivery): void {
    if (this.#state === 'stopped') return
    const isNamed = this.#isNamed(delivery)
    const isHeld = this.#state === 'away' || this.#state === 'apart' || this.#state === 'leaving'
    // Only named or held copies need a fingerprint.
    const fingerprint = isNamed || isHeld ? fingerprintOf(delivery) : ''
    const isRepeat = isNamed && this.#onMain.has(fingerprint)
    if (isNamed) this.#onMain.add(fingerprint)
    const verdict = isNamed ? this.#ledger.verdictOnMain(fingerprint) : 'undecided'
    if (verdict === 'handle') return this.#handle(delivery, fingerprint)
    if (verdict === 'drop') {
      // All held copies arrived before this one.
      if (this.#state === 'apart' && this.#onLane.has(fingerprint)) this.#sameOnBoth(fingerprint, true)
      return this.#handler.drop(delivery)
    }
    if (isHeld) return this.#hold(delivery, fingerprint)
    if (this.#state !== 'met') return this.#handle(delivery, fingerprint)
    // A redelivered copy may be older than the lane, and its request may still be running here. The copy then joins
    // that call; if the call has ended, it gets the remembered answer.
    if (delivery.dup) return this.#handler.handle(delivery)
    // If requests are identical, two copies that were taken for the same request may belong to different requests.
    if (isRepeat) return this.#hold(delivery, fingerprint)
    this.#drop(delivery, fingerprint)
  }

  /** Stops: no further request is started; held copies stay unsettled and are redelivered to the next process. */
  stop(): void {
    clearTimeout(this.#awayTimer)
    this.#state = 'stopped'
    for (const { timer, bytes } of this.#held.values()) {
      clearTimeout(timer)
      this.#handler.budget.give(bytes)
    }
    this.#held.clear()
  }

  #hold(delivery: Delivery, fingerprint: string): void {
    const bytes = heldBytes(delivery)
    if (!this.#handler.budget.hasRoom(bytes)) return this.#handle(delivery, fingerprint)
    this.#handler.budget.take(bytes)
    const known = this.#held.get(fingerprint)
    if (known !== undefined) {
      known.deliveries.push(delivery)
      known.bytes += bytes
      return
    }
    const held: Held = { deliveries: [delivery], bytes, timer: undefined }
    this.#held.set(fingerprint, held)
    // For a named request, the ledger has already taken the lane's copies into account.
    if (this.#onLane.has(fingerprint) && !this.#isNamed(delivery)) this.#sameOnBoth(fingerprint, false)
    else if (this.#state !== 'away') this.#startTimer(fingerprint, held)
  }

  // Both sessions have delivered this request. Earlier copies are handled, because they may be older than the lane.
  // While the lane is leaving, only one copy is dropped, because the lane may no longer receive later requests.
  #sameOnBoth(fingerprint: string, isNamed: boolean): void {
    if (this.#state === 'leaving') return this.#dropOne(fingerprint)
    for (const earlier of this.#held.keys()) {
      if (earlier === fingerprint) break
      this.#end(earlier, 'handle')
    }
    // The lane has delivered only one of the identical copies.
    this.#dropOne(fingerprint)
    this.#end(fingerprint, 'handle')
    if (this.#isProof(fingerprint, isNamed)) this.#meet()
  }

  // Clients repeat only named requests, so a single match of a named request may consist of two identical requests: a
  // request that is older than the lane, and its repeat. Matches of two different requests are proof.
  #isProof(fingerprint: string, isNamed: boolean): boolean {
    this.#firstMatch ??= fingerprint
    return !isNamed || this.#firstMatch !== fingerprint
  }

  #meet(): void {
    this.#state = 'met'
    this.#onLane.clear()
    this.#handledHere.clear()
    for (const fingerprint of this.#held.keys()) this.#end(fingerprint, 'drop')
  }

  #down(): void {
    clearTimeout(this.#awayTimer)
    this.#state = 'down'
    for (const fingerprint of this.#held.keys()) this.#end(fingerprint, 'handle')
  }

  #startTimer(fingerprint: string, held: Held): void {
    clearTimeout(held.timer)
    held.timer = setTimeout(() => {
      this.#handledHere.add(fingerprint)
      this.#end(fingerprint, 'handle')
    }, GRACE_MS)
    held.timer.unref()
  }

  #dropOne(fingerprint: string): void {
    const held = this.#held.get(fingerprint)
    const delivery = held?.deliveries.pop()
    if (held === undefined || delivery === undefined) return
    const bytes = heldBytes(delivery)
    held.bytes -= bytes
    this.#handler.budget.give(bytes)
    this.#drop(delivery, fingerprint)
    if (held.deliveries.length === 0) this.#end(fingerprint, 'drop')
  }

  #end(fingerprint: string, how: 'drop' | 'handle'): void {
    const held = this.#held.get(fingerprint)
    if (held === undefined) return
    this.#held.delete(fingerprint)
    clearTimeout(held.timer)
    this.#handler.budget.give(held.bytes)
    for (const delivery of held.deliveries) {
      if (how === 'drop') this.#drop(delivery, fingerprint)
      else this.#handle(delivery, fingerprint)
    }
  }

  #handle(delivery: Delivery, fingerprint: string): void {
    if (this.#isCounted(delivery)) this.#ledger.handledOnMain(fingerprint)
    this.#handler.handle(delivery)
  }

  #drop(delivery: Delivery, fingerprint: string): void {
    if (this.#isCounted(delivery)) this.#ledger.droppedOnMain(fingerprint)
    this.#handler.drop(delivery)
  }

  // A redelivered copy was counted when it first arrived.
  #isCounted(delivery: Delivery): boolean {
    return !delivery.dup && this.#isNamed(delivery)
  }

  #isNamed(delivery: Delivery): boolean {
    return this.#handler.isNamed?.(delivery) ?? false
  }
}

function heldBytes({ payload, propertyBytes }: Delivery): number {
  return payload.length + propertyBytes
}

const NO_BYTES = new Uint8Array(0)

function fingerprintOf({ topic, properties, payload }: Delivery): string {
  const { correlationData = NO_BYTES, responseTopic = '' } = properties
  const name = Buffer.from(`${topic}\0${responseTopic}\0${correlationData.length}\0`)
  return hash('sha1', Buffer.concat([name, correlationData, bytesToDigest(payload)]), 'base64url')
}

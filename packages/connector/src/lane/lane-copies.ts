// Two sessions get each request of a lane's model: decides for the main session's copy whether the lane has its own.
import { hash } from 'node:crypto'
import type { Delivery } from '../step.ts'

/** How the copies of the main session are disposed of. */
export interface CopyHandler {
  /** The lane has its own copy: this one is settled without a call. */
  drop(delivery: Delivery): void
  /** The lane does not have it: it is handled here. */
  handle(delivery: Delivery): void
}

// The two sessions deliver the same request within milliseconds, unless one of them has a backlog.
const GRACE_MS = 2_000
// After that the main session serves the model, and a lane that comes back answers its copies from memory where it can.
const AWAY_MAX_MS = 60_000
// Requests that the lane got before the two sessions met; the newest are enough to meet.
const SEEN_MAX = 1_024

/**
 * The broker forwards a request to both sessions at the same time, and each delivers in order. So once both have
 * delivered the same request, every later one comes on both: the main session's copies can be dropped. Before that, a
 * copy may be older than the lane, and then it is the only one: it is held until the lane shows its twin, and handled
 * when none comes. While the lane is away its copies are held: a broker that forgot the lane has forgotten its twins.
 */
export class LaneCopies {
  readonly #handler: CopyHandler
  /**
   * `down`: the lane gets nothing. `apart`: it is ready, but the two have not met. `met`: both deliver the same. `away`:
   * met, and disconnected. `leaving`: the lane is about to get nothing.
   */
  #state: 'down' | 'apart' | 'met' | 'away' | 'leaving' = 'down'
  // Bounded by the main session's Receive Maximum.
  readonly #held = new Map<Delivery, NodeJS.Timeout | undefined>()
  readonly #seen = new Set<string>()
  #awayTimer: NodeJS.Timeout | undefined

  constructor(handler: CopyHandler) {
    this.#handler = handler
  }

  /** Copies that wait for the lane. */
  get held(): number {
    return this.#held.size
  }

  /** The lane is connected and subscribed. `isMet`: it is known that it gets what the main session gets. */
  laneReady(isMet: boolean): void {
    clearTimeout(this.#awayTimer)
    this.#seen.clear()
    if (isMet) return this.#meet()
    this.#state = 'apart'
    for (const delivery of this.#held.keys()) this.#waitForTwin(delivery)
  }

  /** The lane's connection ended. */
  laneGone(): void {
    if (this.#state === 'apart') return this.#down()
    if (this.#state !== 'met') return
    this.#state = 'away'
    this.#awayTimer = setTimeout(() => this.#down(), AWAY_MAX_MS)
  }

  /** The lane is about to unsubscribe: until it has, only a twin proves that it got a request. */
  laneLeaving(): void {
    clearTimeout(this.#awayTimer)
    if (this.#state === 'down') return
    this.#state = 'leaving'
    for (const delivery of this.#held.keys()) this.#waitForTwin(delivery)
  }

  /** The lane gets nothing any more: the main session serves its model. */
  laneLeft(): void {
    this.#down()
  }

  /** A delivery on the lane. */
  onLane(delivery: Delivery): void {
    if (this.#state !== 'apart' && this.#state !== 'leaving') return
    const twin = fingerprintOf(delivery)
    if (this.#seen.size >= SEEN_MAX) this.#seen.delete(this.#seen.values().next().value!)
    this.#seen.add(twin)
    for (const held of this.#held.keys()) if (fingerprintOf(held) === twin) return this.#twinOf(held)
  }

  /** A copy on the main session. */
  onMain(delivery: Delivery): void {
    switch (this.#state) {
      case 'down':
        return this.#handler.handle(delivery)
      case 'met':
        return this.#handler.drop(delivery)
      case 'away':
        this.#held.set(delivery, undefined)
        return
      case 'apart':
      case 'leaving':
        this.#held.set(delivery, undefined)
        return this.#seen.has(fingerprintOf(delivery)) ? this.#twinOf(delivery) : this.#waitForTwin(delivery)
    }
  }

  /** Ends its timers; what it holds stays unsettled. */
  stop(): void {
    clearTimeout(this.#awayTimer)
    for (const timer of this.#held.values()) clearTimeout(timer)
    this.#held.clear()
  }

  // What came before the twin may be older than the lane. What comes after it may be too late for a lane that leaves.
  #twinOf(twin: Delivery): void {
    if (this.#state === 'leaving') return this.#drop(twin)
    for (const delivery of this.#held.keys()) {
      if (delivery === twin) break
      this.#handle(delivery)
    }
    this.#meet()
  }

  #meet(): void {
    this.#state = 'met'
    this.#seen.clear()
    for (const delivery of this.#held.keys()) this.#drop(delivery)
  }

  #drop(delivery: Delivery): void {
    clearTimeout(this.#held.get(delivery))
    this.#held.delete(delivery)
    this.#handler.drop(delivery)
  }

  #down(): void {
    clearTimeout(this.#awayTimer)
    this.#state = 'down'
    for (const delivery of this.#held.keys()) this.#handle(delivery)
  }

  #waitForTwin(delivery: Delivery): void {
    clearTimeout(this.#held.get(delivery))
    this.#held.set(
      delivery,
      setTimeout(() => this.#handle(delivery), GRACE_MS),
    )
  }

  #handle(delivery: Delivery): void {
    clearTimeout(this.#held.get(delivery))
    this.#held.delete(delivery)
    this.#handler.handle(delivery)
  }
}

const NO_BYTES = new Uint8Array(0)

function fingerprintOf({ topic, properties, payload }: Delivery): string {
  return hash(
    'sha1',
    Buffer.concat([Buffer.from(`${topic}\0`), properties.correlationData ?? NO_BYTES, payload]),
    'base64url',
  )
}

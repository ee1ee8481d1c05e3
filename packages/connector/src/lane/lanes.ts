// The lanes of a connector: opens and closes them on configuration changes, and routes the main session's copies.
import type { TopicSpace } from '@inferwire/protocol'
import type { Delivery } from '../step.ts'
import { LaneCopies, type CopyHandler } from './lane-copies.ts'

/** The parts of a session that a lane needs. */
export interface LaneSession {
  /** Whether the session is connected and subscribed. */
  readonly isReady: boolean
  /** Number of deliveries of the current connection that are not acknowledged yet. */
  readonly unacknowledged: number
  start(): void
  setFilters(filters: readonly string[]): Promise<void>
  stopTaking(): Promise<void>
  close(): Promise<void>
}

/** The events of a lane's session. */
export interface LaneNews {
  delivered(delivery: Delivery): void
  /** Called when connected and subscribed. */
  ready(sessionPresent: boolean): void
  /** Called when the connection ended or could not be established. */
  unavailable(): void
}

/** The dependencies of `Lanes`. */
export interface LanesParts {
  readonly topics: TopicSpace
  /** Whether sessions share their subscriptions with those of other connectors. */
  readonly isShared: boolean
  readonly open: (model: string, filters: readonly string[], news: LaneNews) => LaneSession
  readonly handle: (delivery: Delivery) => void
  readonly budget: CopyHandler['budget']
}

interface Lane {
  readonly session: LaneSession
  /**
   * Copies, keyed by the name in their topics, which is the name of the model or of one of its versions. A name that is
   * being removed stays until the lane has unsubscribed from it.
   */
  readonly copies: Map<string, LaneCopies>
  /**
   * The names that the lane must serve. If there are none, the lane closes after its last delivery has been
   * acknowledged.
   */
  names: readonly string[]
  /** Names whose subscription the broker has not acknowledged yet. */
  readonly joining: Set<string>
  hasLeft: boolean
  /** Number of consecutive checks that found nothing unacknowledged. */
  idleChecks: number
  /** Resolves when the session became ready or failed for the first time. */
  readonly tried: Promise<void>
}

// How often a closing lane is checked, and after how many idle checks in a row it is closed. A single check is not
// enough, because the broker may deliver in batches.
const IDLE_CHECK_MS = 100
const IDLE_CHECKS_MIN = 20

/** The lanes by model, and the copies of their requests that the main session receives. */
export class Lanes {
  readonly #parts: LanesParts
  readonly #lanes = new Map<string, Lane>()
  readonly #copies = new Map<string, LaneCopies>()
  #idleCheck: NodeJS.Timeout | undefined
  #isStarted = false

  constructor(parts: LanesParts) {
    this.#parts = parts
  }

  /** Number of deliveries of the lanes that are not acknowledged yet. */
  get unacknowledged(): number {
    return this.#all.reduce((sum, { session }) => sum + session.unacknowledged, 0)
  }

  get #all(): Lane[] {
    return [...this.#lanes.values()]
  }

  /**
   * Sets the models that have a lane, each with all names under which it appears in topics. Opens new lanes, and closes
   * lanes that are not listed.
   */
  update(models: ReadonlyMap<string, readonly string[]>): void {
    for (const [model, lane] of this.#lanes) this.#setNames(lane, models.get(model) ?? [])
    for (const [model, names] of models) if (!this.#lanes.has(model)) this.#add(model, names)
  }

  /** Connects the current and future lanes. Resolves when each has become ready or failed for the first time. */
  async start(): Promise<void> {
    this.#isStarted = true
    for (const { session } of this.#all) session.start()
    await Promise.all(this.#all.map(({ tried }) => tried))
  }

  /**
   * Takes a delivery of the main session. Returns true if it belongs to a lane; in that case the caller must not handle
   * it.
   */
  take(delivery: Delivery): boolean {
    if (this.#copies.size === 0) return false
    const model = this.#parts.topics.requestedModel(delivery.topic)
    if (model === undefined) return false
    const copies = this.#copies.get(model)
    if (copies === undefined) return false
    if (copies.hasLeft) {
      this.#copies.delete(model)
      return false
    }
    copies.onMain(delivery)
    return true
  }

  /** First half of a drain: no new request is passed on. */
  async stopTaking(): Promise<void> {
    await Promise.all(this.#all.map(({ session }) => session.stopTaking()))
    for (const copies of this.#copies.values()) copies.stop()
  }

  /** Second half of a drain: closes the sessions. */
  async close(): Promise<void> {
    clearInterval(this.#idleCheck)
    for (const copies of this.#copies.values()) copies.stop()
    await Promise.all(this.#all.map(({ session }) => session.close()))
  }

  #add(model: string, names: readonly string[]): void {
    const { isShared, open, handle } = this.#parts
    const { promise: tried, resolve: wasTried } = promised()
    const copies = new Map<string, LaneCopies>()
    const session = open(model, this.#filtersOf(names), {
      delivered: (delivery) => {
        const name = this.#parts.topics.requestedModel(delivery.topic)
        const known = name === undefined ? undefined : copies.get(name)
        if (known === undefined) handle(delivery)
        else known.onLane(delivery)
      },
      ready: (sessionPresent) => {
        // With a shared subscription each connector receives only some of the copies, so the two sessions rarely
        // receive the same request.
        for (const each of copies.values()) each.laneReady(isShared && sessionPresent)
        wasTried()
      },
      unavailable: () => {
        for (const each of copies.values()) each.laneGone()
        wasTried()
      },
    })
    const lane: Lane = { session, copies, names, joining: new Set(), hasLeft: false, idleChecks: 0, tried }
    this.#lanes.set(model, lane)
    for (const name of names) this.#addName(lane, name)
    if (this.#isStarted) session.start()
  }

  // The broker delivers nothing on the lane for a name that it refused, so the main session serves that name.
  #setNames(lane: Lane, names: readonly string[]): void {
    if (names.join() === lane.names.join()) return
    const before = lane.names
    lane.names = names
    lane.hasLeft = false
    for (const [name, copies] of lane.copies) if (!names.includes(name)) copies.laneLeaving()
    for (const name of names) if (!before.includes(name)) this.#addName(lane, name)
    void lane.session
      .setFilters(this.#filtersOf(names))
      // The session has already reported the refusal.
      .catch(() => {})
      .then(() => {
        if (lane.names === names) this.#subscribed(lane)
      })
  }

  #subscribed(lane: Lane): void {
    for (const [name, copies] of lane.copies) {
      if (lane.names.includes(name)) {
        // For the names that were already subscribed, nothing changes.
        if (lane.joining.delete(name) && lane.session.isReady) copies.laneReady(false)
      } else {
        lane.joining.delete(name)
        // The name stays in `this.#copies` for copies that are still in transit.
        copies.laneLeft()
        lane.copies.delete(name)
      }
    }
    if (lane.names.length > 0) return
    lane.hasLeft = true
    lane.idleChecks = 0
    this.#idleCheck ??= setInterval(() => this.#closeIdle(), IDLE_CHECK_MS).unref()
  }

  // If the lane was unsubscribing from this name, the name's state starts anew: held copies are handled, and the
  // sessions must meet again.
  #addName(lane: Lane, name: string): void {
    const { handle, budget, isShared, topics } = this.#parts
    const isNamed = ({ topic, properties }: Delivery): boolean =>
      properties.correlationData !== undefined || topics.hasRequestId(topic)
    const known = lane.copies.get(name) ?? this.#copies.get(name)
    const copies = known ?? new LaneCopies({ drop, handle, budget, isNamed: isShared ? undefined : isNamed })
    copies.laneJoins()
    lane.joining.add(name)
    lane.copies.set(name, copies)
    this.#copies.set(name, copies)
  }

  #filtersOf(names: readonly string[]): string[] {
    return names.map((name) => this.#parts.topics.modelFilter(name))
  }

  // A disconnected lane stays open: the broker may have requests for it.
  #closeIdle(): void {
    let isAnyLeft = false
    for (const [model, lane] of this.#lanes) {
      if (lane.names.length > 0) continue
      const isIdle = lane.hasLeft && lane.session.isReady && lane.session.unacknowledged === 0
      lane.idleChecks = isIdle ? lane.idleChecks + 1 : 0
      if (lane.idleChecks < IDLE_CHECKS_MIN) {
        isAnyLeft = true
      } else {
        this.#lanes.delete(model)
        void lane.session.close()
      }
    }
    if (isAnyLeft) return
    clearInterval(this.#idleCheck)
    this.#idleCheck = undefined
  }
}

// The other session has received the request too, and handles it.
function drop(delivery: Delivery): void {
  delivery.release()
  delivery.settle()
}

function promised(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve!: () => void
  const promise = new Promise<void>((done) => (resolve = done))
  return { promise, resolve }
}

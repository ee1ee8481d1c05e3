// The lanes of a connector: opens and closes them with the configuration, and sorts the main session's copies.
import type { TopicSpace } from '@inferwire/protocol'
import type { Delivery } from '../step.ts'
import { LaneCopies } from './lane-copies.ts'

/** The session of a lane, as far as lanes need it. */
export interface LaneSession {
  /** Deliveries that wait for their acknowledgement. */
  readonly unacknowledged: number
  start(): void
  setFilters(filters: readonly string[]): Promise<void>
  stopTaking(): Promise<void>
  close(): Promise<void>
}

/** What a lane's session tells. */
export interface LaneNews {
  delivered(delivery: Delivery): void
  /** Connected and subscribed. */
  ready(sessionPresent: boolean): void
  /** The connection ended or could not be made. */
  unavailable(): void
}

/** What lanes work with. */
export interface LanesParts {
  readonly topics: TopicSpace
  /** Whether sessions share their subscriptions with those of other connectors. */
  readonly isShared: boolean
  readonly open: (model: string, filters: readonly string[], news: LaneNews) => LaneSession
  readonly handle: (delivery: Delivery) => void
}

interface Lane {
  /** The model and its versions, as on the topics. */
  names: readonly string[]
  /** It unsubscribes, and goes when its last delivery was acknowledged. */
  isLeaving: boolean
  readonly session: LaneSession
  readonly copies: LaneCopies
  /** Resolves when it was ready or failed for the first time. */
  readonly tried: Promise<void>
}

// How often a lane that goes is asked whether its last delivery was acknowledged.
const IDLE_CHECK_MS = 100

/** See the file's first line. */
export class Lanes {
  readonly #parts: LanesParts
  readonly #lanes = new Map<string, Lane>()
  readonly #byName = new Map<string, Lane>()
  #idleCheck: NodeJS.Timeout | undefined
  #isStarted = false

  constructor(parts: LanesParts) {
    this.#parts = parts
  }

  /** Deliveries of the lanes that wait for their acknowledgement. */
  get unacknowledged(): number {
    return this.#all.reduce((sum, { session }) => sum + session.unacknowledged, 0)
  }

  /** Copies of the main session that wait for a lane. */
  get held(): number {
    return this.#all.reduce((sum, { copies }) => sum + copies.held, 0)
  }

  get #all(): Lane[] {
    return [...this.#lanes.values()]
  }

  /** The models that have a lane, with all their names on the topics. Opens those that are new, closes those that are gone. */
  update(models: ReadonlyMap<string, readonly string[]>): void {
    for (const [model, lane] of this.#lanes) if (!models.has(model)) this.#leave(lane)
    for (const [model, names] of models) {
      const lane = this.#lanes.get(model)
      if (lane === undefined) this.#add(model, names)
      else if (lane.isLeaving || names.join() !== lane.names.join()) this.#rename(lane, names)
    }
  }

  /** Connects them, now and in future. Resolves when each was ready, or failed, for the first time. */
  async start(): Promise<void> {
    this.#isStarted = true
    for (const { session } of this.#lanes.values()) session.start()
    await Promise.all([...this.#lanes.values()].map(({ tried }) => tried))
  }

  /** A delivery of the main session. True: it is a lane's business, and not to be handled by the caller. */
  take(delivery: Delivery): boolean {
    if (this.#byName.size === 0) return false
    const model = this.#parts.topics.requestedModel(delivery.topic)
    const lane = model === undefined ? undefined : this.#byName.get(model)
    if (lane === undefined) return false
    lane.copies.onMain(delivery)
    return true
  }

  /** Drain, first half. */
  async stopTaking(): Promise<void> {
    for (const { copies } of this.#all) copies.stop()
    await Promise.all(this.#all.map(({ session }) => session.stopTaking()))
  }

  /** Drain, second half. */
  async close(): Promise<void> {
    clearInterval(this.#idleCheck)
    await Promise.all(this.#all.map(({ session }) => session.close()))
  }

  #add(model: string, names: readonly string[]): void {
    const { isShared, open, handle } = this.#parts
    const copies = new LaneCopies({ drop: (delivery) => drop(delivery), handle })
    const { promise: tried, resolve: wasTried } = promised()
    const session = open(model, this.#filtersOf(names), {
      delivered(delivery) {
        copies.onLane(delivery)
        handle(delivery)
      },
      ready(sessionPresent) {
        // The copies of a shared subscription are spread over the connectors: they rarely meet.
        copies.laneReady(isShared && sessionPresent)
        wasTried()
      },
      unavailable() {
        copies.laneGone()
        wasTried()
      },
    })
    const lane = { names, isLeaving: false, session, copies, tried }
    this.#lanes.set(model, lane)
    for (const name of names) this.#byName.set(name, lane)
    if (this.#isStarted) session.start()
  }

  // Until the lane is subscribed to all names, only a twin proves that it got a request.
  #rename(lane: Lane, names: readonly string[]): void {
    lane.isLeaving = false
    lane.copies.laneLeaving()
    for (const name of names) this.#byName.set(name, lane)
    void this.#subscribe(lane, names).then(() => {
      for (const name of lane.names) if (!names.includes(name)) this.#byName.delete(name)
      lane.names = names
      lane.copies.laneReady(false)
    })
  }

  // What the broker forwarded before UNSUBACK is the lane's; later requests come on the main session only.
  #leave(lane: Lane): void {
    if (lane.isLeaving) return
    lane.isLeaving = true
    lane.copies.laneLeaving()
    void this.#subscribe(lane, []).then(() => {
      if (!lane.isLeaving) return
      lane.copies.laneLeft()
      for (const name of lane.names) this.#byName.delete(name)
      this.#idleCheck ??= setInterval(() => this.#closeIdle(), IDLE_CHECK_MS).unref()
    })
  }

  // A filter that the broker refuses was reported by the session; its requests have no twin, and the main session serves them.
  #subscribe(lane: Lane, names: readonly string[]): Promise<void> {
    return lane.session.setFilters(this.#filtersOf(names)).catch(() => {})
  }

  #filtersOf(names: readonly string[]): string[] {
    return names.map((name) => this.#parts.topics.modelFilter(name))
  }

  #closeIdle(): void {
    let isAnyLeft = false
    for (const [model, lane] of this.#lanes) {
      if (!lane.isLeaving) continue
      if (lane.session.unacknowledged > 0) isAnyLeft = true
      else {
        this.#lanes.delete(model)
        void lane.session.close()
      }
    }
    if (isAnyLeft) return
    clearInterval(this.#idleCheck)
    this.#idleCheck = undefined
  }
}

function drop(delivery: Delivery): void {
  delivery.release()
  delivery.settle()
}

function promised(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve!: () => void
  const promise = new Promise<void>((done) => (resolve = done))
  return { promise, resolve }
}

// The lanes of a connector: opens and closes them with the configuration, and sorts the main session's copies.
import type { TopicSpace } from '@inferwire/protocol'
import type { Delivery } from '../step.ts'
import { LaneCopies, type CopyHandler } from './lane-copies.ts'

/** The session of a lane, as far as lanes need it. */
export interface LaneSession {
  /** Connected and subscribed. */
  readonly isReady: boolean
  /** Deliveries of the live connection that wait for their acknowledgement. */
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
  readonly budget: CopyHandler['budget']
}

interface Lane {
  readonly session: LaneSession
  /** The model and its versions, as on the topics; those that the lane is leaving stay until it has left. */
  readonly copies: Map<string, LaneCopies>
  /** The names that it is to have. None: it goes when its last delivery was acknowledged. */
  names: readonly string[]
  hasLeft: boolean
  /** Checks in a row that found nothing unacknowledged. */
  idleChecks: number
  /** Resolves when it was ready or failed for the first time. */
  readonly tried: Promise<void>
}

// How often a lane that goes is checked, and how long it must have nothing to do: its broker may deliver in batches.
const IDLE_CHECK_MS = 100
const IDLE_CHECKS_MIN = 20

/** See the file's first line. */
export class Lanes {
  readonly #parts: LanesParts
  readonly #lanes = new Map<string, Lane>()
  readonly #copies = new Map<string, LaneCopies>()
  #idleCheck: NodeJS.Timeout | undefined
  #isStarted = false

  constructor(parts: LanesParts) {
    this.#parts = parts
  }

  /** Deliveries of the lanes that wait for their acknowledgement. */
  get unacknowledged(): number {
    return this.#all.reduce((sum, { session }) => sum + session.unacknowledged, 0)
  }

  get #all(): Lane[] {
    return [...this.#lanes.values()]
  }

  /** The models that have a lane, with all their names on the topics. Opens those that are new, closes those that are gone. */
  update(models: ReadonlyMap<string, readonly string[]>): void {
    for (const [model, lane] of this.#lanes) this.#setNames(lane, models.get(model) ?? [])
    for (const [model, names] of models) if (!this.#lanes.has(model)) this.#add(model, names)
  }

  /** Connects them, now and in future. Resolves when each was ready, or failed, for the first time. */
  async start(): Promise<void> {
    this.#isStarted = true
    for (const { session } of this.#all) session.start()
    await Promise.all(this.#all.map(({ tried }) => tried))
  }

  /** A delivery of the main session. True: it belongs to a lane, and the caller must not handle it. */
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

  /** Drain, first half. */
  async stopTaking(): Promise<void> {
    await Promise.all(this.#all.map(({ session }) => session.stopTaking()))
    for (const copies of this.#copies.values()) copies.stop()
  }

  /** Drain, second half. */
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
        // The copies of a shared subscription are spread over the connectors: they rarely meet.
        for (const each of copies.values()) each.laneReady(isShared && sessionPresent)
        wasTried()
      },
      unavailable: () => {
        for (const each of copies.values()) each.laneGone()
        wasTried()
      },
    })
    const lane: Lane = { session, copies, names, hasLeft: false, idleChecks: 0, tried }
    this.#lanes.set(model, lane)
    for (const name of names) this.#addName(lane, name)
    if (this.#isStarted) session.start()
  }

  // A name that the broker refuses is never delivered on the lane, so the main session serves it.
  #setNames(lane: Lane, names: readonly string[]): void {
    if (names.join() === lane.names.join()) return
    lane.names = names
    lane.hasLeft = false
    for (const [name, copies] of lane.copies) if (!names.includes(name)) copies.laneLeaving()
    for (const name of names) this.#addName(lane, name)
    void lane.session
      .setFilters(this.#filtersOf(names))
      // The session has reported it.
      .catch(() => {})
      .then(() => {
        if (lane.names === names) this.#subscribed(lane)
      })
  }

  #subscribed(lane: Lane): void {
    for (const [name, copies] of lane.copies) {
      if (lane.names.includes(name)) {
        if (lane.session.isReady) copies.laneReady(false)
      } else {
        // It stays among the connector's copies for those that are on their way.
        copies.laneLeft()
        lane.copies.delete(name)
      }
    }
    if (lane.names.length > 0) return
    lane.hasLeft = true
    lane.idleChecks = 0
    this.#idleCheck ??= setInterval(() => this.#closeIdle(), IDLE_CHECK_MS).unref()
  }

  // A name that the lane was leaving begins anew: what it holds is handled, and it has to meet the lane again.
  #addName(lane: Lane, name: string): void {
    const { handle, budget, isShared, topics } = this.#parts
    const isNamed = ({ topic, properties }: Delivery): boolean =>
      properties.correlationData !== undefined || topics.hasRequestId(topic)
    const known = lane.copies.get(name) ?? this.#copies.get(name)
    const copies = known ?? new LaneCopies({ drop, handle, budget, isNamed: isShared ? undefined : isNamed })
    copies.laneJoins()
    lane.copies.set(name, copies)
    this.#copies.set(name, copies)
  }

  #filtersOf(names: readonly string[]): string[] {
    return names.map((name) => this.#parts.topics.modelFilter(name))
  }

  // A lane that is disconnected may have requests at the broker.
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

// What the broker forwarded to the lane as well needs nothing here.
function drop(delivery: Delivery): void {
  delivery.release()
  delivery.settle()
}

function promised(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve!: () => void
  const promise = new Promise<void>((done) => (resolve = done))
  return { promise, resolve }
}

// Tracks the other connectors under the same root, so that no connector answers requests for another connector's
// models.
import { createHash } from 'node:crypto'
import {
  belongsToDiscovery,
  Problem,
  readStatus,
  type ConnectorStatus,
  type DiscoveryStatus,
  type TopicSpace,
} from '@inferwire/protocol'
import type { Delivery, LeftToPeer, Undecided } from '../step.ts'
import type { Log } from '../telemetry/index.ts'
import { PeerNews } from './peer-news.ts'

/** The dependencies of `Peers`. */
export interface PeersParts {
  readonly topics: TopicSpace
  /** The name of this connector. */
  readonly name: string
  /** The shared subscription of this connector, whose members do not receive each other's requests. */
  readonly share: string | undefined
  /** Whether a model is exposed here. */
  readonly isOwn: (model: string) => boolean
  /** The names that discovery may give to models here; undefined without discovery. */
  readonly discovery: () => DiscoveryStatus | undefined
  /**
   * Called exactly once, when the peers are known, with the status that an earlier process left under this connector's
   * name. `bornAtMs` is the birth time of this process, in milliseconds since the epoch.
   */
  readonly predecessor: (status: ConnectorStatus, bornAtMs: number) => void
  /** Called with models that a peer (not a replica) no longer exposes. The retained cards may be the peer's. */
  readonly left: (models: readonly string[]) => void
  readonly log: Log
}

interface Peer {
  readonly connector: string
  readonly isOffline: boolean
  /** Whether the peer is a member of our shared subscription. */
  readonly isReplica: boolean
  /** All models that the peer exposes, including those that are not ready. */
  readonly models: ReadonlySet<string>
  /** The names that discovery may give to the peer's models. */
  readonly discovery: DiscoveryStatus | undefined
  /** The generation in which the latest status of this peer arrived. */
  generation: number
  /** A digest of the peer's state when it was last logged. */
  logged: string | undefined
}

// Limit on the birth time of a predecessor, in milliseconds since the epoch. If the predecessor's birth time is below
// the limit, this process chooses a later one. Above the limit, a later birth time would make our status unreadable for
// all connectors. The limit is an absolute time, because our own clock may have been set back by decades.
const BIRTH_MAX = Date.UTC(2100, 0)
// Limit on the number of statuses that are kept; further connectors are ignored.
const PEERS_MAX = 1_000
// Limit on the size of a status, enough for roughly 3,000 models. It is needed because the statuses of other connectors
// are parsed and kept in memory.
const STATUS_BYTES_MAX = 64 * 1024
// Timeout for a slow broker. A broker normally sends the retained statuses together with the SUBACK, and our own status
// after them.
const KNOWN_AFTER_MS = 1_000

/**
 * The other connectors, by their retained statuses. A generation lasts from the end of one connection to the end of the
 * next. In each generation the broker sends all retained statuses again, and our own status is published after them, so
 * a peer whose status has not arrived before ours is removed.
 */
export class Peers {
  readonly #parts: PeersParts
  readonly #news: PeerNews
  readonly #peers = new Map<string, Peer>()
  #predecessor: ConnectorStatus | undefined
  // Whether the status of an earlier process has been passed on, or is known not to exist.
  #isPredecessorDone = false
  // The birth time of this process on the current connection; undefined until the connection's subscriptions are
  // granted.
  #bornAtMs: number | undefined
  #generation = 0
  // Whether the peers are known in this generation, because our own status arrived or the timer fired.
  #isKnown = false
  #isKnownByTime = false
  #timer: NodeJS.Timeout | undefined
  #known!: () => void
  #whenKnown!: Promise<void>

  constructor(parts: PeersParts) {
    this.#parts = parts
    this.#news = new PeerNews(parts)
    this.#expect()
  }

  /** The topic filter of the statuses; every connector subscribes to it without a shared subscription. */
  get filter(): string {
    return this.#parts.topics.statusFilter
  }

  /** Handles SUBACK: starts the timeout for the statuses, unless they arrived before the SUBACK. */
  subscribed(bornAtMs: number): void {
    this.#bornAtMs = bornAtMs
    this.#timer ??= setTimeout(() => this.#giveUpWaiting(), KNOWN_AFTER_MS).unref()
  }

  /**
   * Handles the end of a connection or a failed attempt. The statuses of the next connection may arrive before its
   * SUBACK.
   */
  disconnected(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#bornAtMs = undefined
    this.#generation += 1
    if (this.#isKnown) this.#expect()
  }

  /** Reads and settles a status message. Returns false if the delivery is not a status message. */
  take(delivery: Delivery): boolean {
    const connector = this.#parts.topics.statusOwner(delivery.topic)
    if (connector === undefined) return false
    if (connector !== this.#parts.name && delivery.payloadBytes === 0) this.#forget(connector)
    else this.#read(connector, delivery)
    delivery.release()
    delivery.settle()
    return true
  }

  /** Whether the status of a peer that is not offline lists the model. */
  exposes(model: string): boolean {
    return [...this.#peers.values()].some(({ isOffline, models }) => !isOffline && models.has(model))
  }

  /**
   * Returns the peer that answers requests for a model that is not configured here; undefined if no such peer is known.
   * `absent` is the problem to report if the peer that exposes the model is offline, or is a replica that did not
   * receive the request.
   */
  answering(model: string): LeftToPeer | Undecided | { readonly absent: Problem } | undefined {
    if (!this.#isKnown) return { until: this.#whenKnown }
    let absent: Peer | undefined
    for (const peer of this.#peers.values()) {
      if (!this.#leaves(model, peer)) continue
      const { connector, isOffline, isReplica } = peer
      if (!isOffline && !isReplica) return { peer: connector }
      // The retained status of a removed replica stays on the broker.
      if (!isOffline || !isReplica) absent = peer
    }
    return absent === undefined ? undefined : { absent: absentProblem(model, absent) }
  }

  // A name that only belongs to the peer's namespaces may not exist. If it belongs to a namespace of both connectors, the
  // connector whose name comes first answers. A replica does not receive our requests, so only we can answer them.
  #leaves(model: string, { connector, isReplica, models, discovery }: Peer): boolean {
    if (models.has(model)) return true
    if (isReplica || discovery === undefined || !belongsToDiscovery(discovery, model)) return false
    const own = this.#parts.discovery()
    return own === undefined || !belongsToDiscovery(own, model) || connector < this.#parts.name
  }

  #expect(): void {
    this.#isKnown = false
    this.#whenKnown = new Promise<void>((resolve) => (this.#known = resolve))
  }

  #read(connector: string, { payload, payloadBytes, isWhole }: Delivery): void {
    const isOwn = connector === this.#parts.name
    const peer = this.#peers.get(connector)
    // Even an unreadable status shows that the peer's status still exists, so the peer is kept.
    if (peer !== undefined) peer.generation = this.#generation
    if (payloadBytes > STATUS_BYTES_MAX) return this.#news.tooLarge(connector, payloadBytes, STATUS_BYTES_MAX)
    if (payloadBytes === 0) return
    const status = isWhole ? readStatus(connector, payload) : undefined
    if (status === undefined) return this.#news.unreadable(connector)
    if (isOwn) this.#takeOwn(status)
    else this.#takePeer(status, peer)
  }

  #takeOwn(status: ConnectorStatus): void {
    if (status.timestamp === this.#bornAtMs) {
      this.#forgetUnseen()
      if (this.#isKnownByTime) this.#news.arrivedLate()
      this.#isKnownByTime = false
      this.#becomeKnown()
      this.#isPredecessorDone = true
    } else if (!this.#isPredecessorDone && status.timestamp <= BIRTH_MAX) {
      // Only the first status is kept, because a status on a later connection may be our own.
      this.#predecessor ??= status
      // The timer has already fired, so nothing else will pass on this status.
      if (this.#isKnown) this.#handOnPredecessor()
    }
  }

  // No peer is removed: a broker that does not send our own status might not send the other statuses either.
  #giveUpWaiting(): void {
    if (this.#isKnown) return
    this.#isKnownByTime = true
    this.#news.unknown(KNOWN_AFTER_MS)
    this.#becomeKnown()
  }

  #becomeKnown(): void {
    clearTimeout(this.#timer)
    if (this.#isKnown) return
    this.#isKnown = true
    this.#handOnPredecessor()
    this.#known()
  }

  #handOnPredecessor(): void {
    const status = this.#predecessor
    if (status === undefined || this.#bornAtMs === undefined) return
    this.#predecessor = undefined
    this.#isPredecessorDone = true
    this.#parts.predecessor(status, this.#bornAtMs)
  }

  #forgetUnseen(): void {
    for (const { connector, generation } of this.#peers.values())
      if (generation !== this.#generation) this.#forget(connector)
  }

  #forget(connector: string): void {
    const peer = this.#peers.get(connector)
    if (peer === undefined) return
    this.#peers.delete(connector)
    if (peer.isReplica) return
    this.#news.gone(connector)
    this.#leave(exposedBy(peer))
  }

  #leave(models: readonly string[]): void {
    if (models.length > 0) this.#parts.left(models)
  }

  #takePeer(status: ConnectorStatus, before: Peer | undefined): void {
    if (before === undefined && this.#peers.size >= PEERS_MAX) return this.#news.tooMany(PEERS_MAX)
    const { connector, share } = status
    const peer: Peer = {
      connector,
      isOffline: status.state === 'offline',
      isReplica: share !== undefined && share === this.#parts.share,
      models: new Set([...status.models, ...(status.not_ready ?? [])]),
      discovery: status.discovery,
      generation: this.#generation,
      logged: before?.logged,
    }
    this.#peers.set(connector, peer)
    if (peer.isReplica) return
    const exposed = exposedBy(peer)
    this.#leave(exposedBy(before).filter((model) => !exposed.includes(model)))
    // A connector publishes its status again on each connection.
    const digest = digestOf(status)
    if (peer.logged !== digest && this.#news.changed(peer)) peer.logged = digest
  }
}

// An offline peer exposes no model. Its retained cards stay on the broker, so a connector that exposes the same
// model must publish its own card again.
function exposedBy(peer: Peer | undefined): readonly string[] {
  return peer === undefined || peer.isOffline ? [] : [...peer.models]
}

function absentProblem(model: string, { connector, isReplica }: Peer): Problem {
  const [reason, detail] = isReplica
    ? [
        'this replica does not expose it yet',
        `Connector "${connector}", with the same broker.share, exposes it.`,
      ]
    : ['the connector that exposes it is offline', `Connector "${connector}" is offline.`]
  return new Problem('model_not_ready', `Model "${model}" is not ready: ${reason}.`, { detail })
}

function digestOf({ state, models, not_ready, discovery }: ConnectorStatus): string {
  const { namespaces, default_namespace, aliases } = discovery ?? {}
  const names = [models, not_ready, namespaces, default_namespace, aliases]
  const news = JSON.stringify([state === 'offline', names])
  return createHash('sha256').update(news).digest('base64')
}

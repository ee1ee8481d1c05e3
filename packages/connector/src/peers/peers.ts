// Knows the other connectors under the same root, so that no connector answers for a model of another one.
import { createHash } from 'node:crypto'
import { Problem, type ConnectorStatus, type TopicSpace } from '@inferwire/protocol'
import type { Delivery, LeftToPeer, Undecided } from '../step.ts'
import type { Log } from '../telemetry/index.ts'
import { PeerNews } from './peer-news.ts'
import { BIRTH_MAX, readStatus } from './read-status.ts'

/** What is needed to know them. */
export interface PeersParts {
  readonly topics: TopicSpace
  /** This connector's name. */
  readonly name: string
  /** Its shared subscription: members of the same one do not receive each other's requests. */
  readonly share: string | undefined
  /** Whether a model is configured here. */
  readonly isOwn: (model: string) => boolean
  /**
   * Called once, when the peers are known: the status that an earlier process left under this connector's name.
   * `bornAtMs` is the birth of this one, in milliseconds since the epoch.
   */
  readonly predecessor: (status: ConnectorStatus, bornAtMs: number) => void
  readonly log: Log
}

interface Peer {
  readonly connector: string
  readonly isOffline: boolean
  /** A member of our shared subscription. */
  readonly isReplica: boolean
  /** All that it exposes, also what is not ready. */
  readonly models: ReadonlySet<string>
  /** The generation in which its status was seen last. */
  generation: number
  /** A digest of what was logged of it. */
  logged: string | undefined
}

// Statuses that are kept; a connector beyond this is not known.
const PEERS_MAX = 1_000
// About 3,000 models. What others publish is parsed and kept in memory.
const STATUS_BYTES_MAX = 64 * 1024
// A broker sends retained messages with the SUBACK; our own status comes back after them. This is for one that is slow.
const KNOWN_AFTER_MS = 1_000

/**
 * See the file's first line. A generation is what is between the ends of two connections: in each, the broker sends all
 * retained statuses again, and a peer whose status was not among them when our own has come back is forgotten.
 */
export class Peers {
  readonly #parts: PeersParts
  readonly #news: PeerNews
  readonly #peers = new Map<string, Peer>()
  #predecessor: ConnectorStatus | undefined
  // The one status of an earlier process was handed on, or there is none.
  #isPredecessorDone = false
  // When this process was born on the present connection; undefined before it is subscribed.
  #bornAtMs: number | undefined
  #generation = 0
  // Of this generation: by our own status, or by the timer.
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

  /** Every connector subscribes to it for itself. */
  get filter(): string {
    return this.#parts.topics.statusFilter
  }

  /** Connected and subscribed: the statuses follow, if they were not sent before the SUBACK. */
  subscribed(bornAtMs: number): void {
    this.#bornAtMs = bornAtMs
    this.#timer ??= setTimeout(() => this.#giveUpWaiting(), KNOWN_AFTER_MS).unref()
  }

  /** The connection ended, or an attempt to connect failed. The statuses of the next one may come before its SUBACK. */
  disconnected(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#bornAtMs = undefined
    this.#generation += 1
    if (this.#isKnown) this.#expect()
  }

  /** Takes and settles a status message; false: it is none. */
  take(delivery: Delivery): boolean {
    const connector = this.#parts.topics.statusOwner(delivery.topic)
    if (connector === undefined) return false
    if (connector !== this.#parts.name && delivery.payloadBytes === 0) this.#forget(connector)
    else this.#read(connector, delivery)
    delivery.release()
    delivery.settle()
    return true
  }

  /** Whether a peer exposes a model, and has not ended. */
  exposes(model: string): boolean {
    return [...this.#peers.values()].some(({ isOffline, models }) => !isOffline && models.has(model))
  }

  /**
   * Who answers for a model that is not configured here; undefined: nobody, as far as is known. `absent` is the problem
   * where a peer has the model that did not receive the request, or is offline.
   */
  answering(model: string): LeftToPeer | Undecided | { readonly absent: Problem } | undefined {
    if (!this.#isKnown) return { until: this.#whenKnown }
    let absent: Peer | undefined
    for (const peer of this.#peers.values()) {
      if (!peer.models.has(model)) continue
      const { connector, isOffline, isReplica } = peer
      if (!isOffline && !isReplica) return { peer: connector }
      // A replica that was removed leaves its status for good.
      if (!isOffline || !isReplica) absent = peer
    }
    return absent === undefined ? undefined : { absent: absentProblem(model, absent) }
  }

  #expect(): void {
    this.#isKnown = false
    this.#whenKnown = new Promise<void>((resolve) => (this.#known = resolve))
  }

  #read(connector: string, { payload, payloadBytes, isWhole }: Delivery): void {
    const isOwn = connector === this.#parts.name
    const peer = this.#peers.get(connector)
    // Unreadable or not, it is still there.
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
      if (this.#isKnownByTime) this.#news.knownLate()
      this.#isKnownByTime = false
      this.#becomeKnown()
      this.#isPredecessorDone = true
    } else if (!this.#isPredecessorDone && status.timestamp <= BIRTH_MAX) {
      // The first one: on a later connection it may be our own.
      this.#predecessor ??= status
      // The timer has decided; this is what it did not wait for.
      if (this.#isKnown) this.#handOnPredecessor()
    }
  }

  // Nothing is forgotten: a broker that does not send our own status may not send those of others either.
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
    if (!peer.isReplica) this.#news.gone(connector)
  }

  #takePeer(status: ConnectorStatus, before: Peer | undefined): void {
    if (before === undefined && this.#peers.size >= PEERS_MAX) return this.#news.tooMany(PEERS_MAX)
    const { connector, share } = status
    const peer: Peer = {
      connector,
      isOffline: status.state === 'offline',
      isReplica: share !== undefined && share === this.#parts.share,
      models: new Set([...status.models, ...(status.not_ready ?? [])]),
      generation: this.#generation,
      logged: before?.logged,
    }
    this.#peers.set(connector, peer)
    if (peer.isReplica) return
    // A status is published again with each connection.
    const digest = digestOf(status)
    if (peer.logged !== digest && this.#news.changed(peer)) peer.logged = digest
  }
}

function absentProblem(model: string, { connector, isReplica }: Peer): Problem {
  const [reason, detail] = isReplica
    ? ['this replica does not know it yet', `Connector "${connector}", of the same broker.share, exposes it.`]
    : ['the connector that exposes it is offline', `Connector "${connector}" is offline.`]
  return new Problem('model_not_ready', `Model "${model}" is not ready: ${reason}.`, { detail })
}

function digestOf({ state, models, not_ready }: ConnectorStatus): string {
  const news = JSON.stringify([state === 'offline', models, not_ready])
  return createHash('sha256').update(news).digest('base64')
}

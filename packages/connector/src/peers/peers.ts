// Knows the other connectors under the same root, so that no connector answers for a model of another one.
import { Problem, type ConnectorStatus, type TopicSpace } from '@inferwire/protocol'
import type { Delivery, LeftToPeer, Undecided } from '../step.ts'
import type { Log } from '../telemetry/index.ts'
import { readStatus } from './read-status.ts'

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

// Statuses that are kept; a connector beyond this is not known.
const PEERS_MAX = 1_000
// A broker sends retained messages with the SUBACK; our own status comes back after them. This is for one that is slow.
const KNOWN_AFTER_MS = 1_000

/** See the file's first line. */
export class Peers {
  readonly #parts: PeersParts
  readonly #statuses = new Map<string, ConnectorStatus>()
  #predecessor: ConnectorStatus | undefined
  // When this process was born; undefined before it is connected.
  #bornAtMs: number | undefined
  #isKnown = false
  #timer: NodeJS.Timeout | undefined
  #known!: () => void
  readonly #whenKnown = new Promise<void>((resolve) => (this.#known = resolve))

  constructor(parts: PeersParts) {
    this.#parts = parts
  }

  /** Every connector subscribes to it for itself. */
  get filter(): string {
    return this.#parts.topics.statusFilter
  }

  /** Connected and subscribed: the statuses follow. */
  subscribed(bornAtMs: number): void {
    this.#bornAtMs = bornAtMs
    if (!this.#isKnown) this.#timer ??= setTimeout(() => this.#becomeKnown(), KNOWN_AFTER_MS).unref()
  }

  /** Takes and settles a status message; false: it is none. */
  take(delivery: Delivery): boolean {
    const connector = this.#parts.topics.statusOwner(delivery.topic)
    if (connector === undefined) return false
    const { payload, payloadBytes, isWhole } = delivery
    const status = isWhole ? readStatus(connector, payload) : undefined
    if (connector === this.#parts.name) this.#takeOwn(status)
    else if (payloadBytes === 0) this.#statuses.delete(connector)
    else if (status === undefined) this.#logUnreadable(delivery)
    else this.#takePeer(status)
    delivery.release()
    delivery.settle()
    return true
  }

  /** Whether a peer exposes a model, and has not ended. */
  exposes(model: string): boolean {
    return [...this.#statuses.values()].some((status) => status.state !== 'offline' && has(status, model))
  }

  /**
   * Who answers for a model that is not configured here; undefined: nobody, as far as is known.
   * @throws Problem `model_not_ready` where a peer has the model that did not receive the request, or is offline.
   */
  answering(model: string): LeftToPeer | Undecided | undefined {
    if (!this.#isKnown) return { until: this.#whenKnown }
    let absent: string | undefined
    for (const status of this.#statuses.values()) {
      if (!has(status, model)) continue
      const { connector, state } = status
      const isReplica = this.#isReplica(status)
      if (state !== 'offline' && !isReplica) return { peer: connector }
      // A replica that was removed leaves its status for good.
      if (state === 'offline' && isReplica) continue
      absent = isReplica ? 'this replica does not know it yet' : `connector "${connector}" is offline`
    }
    if (absent === undefined) return undefined
    throw new Problem('model_not_ready', `Model "${model}" is not ready: ${absent}.`)
  }

  #isReplica({ share }: ConnectorStatus): boolean {
    return share !== undefined && share === this.#parts.share
  }

  #takeOwn(status: ConnectorStatus | undefined): void {
    if (this.#isKnown || status === undefined) return
    if (status.timestamp === this.#bornAtMs) this.#becomeKnown()
    else this.#predecessor = status
  }

  #becomeKnown(): void {
    clearTimeout(this.#timer)
    this.#isKnown = true
    this.#known()
    if (this.#predecessor !== undefined && this.#bornAtMs !== undefined)
      this.#parts.predecessor(this.#predecessor, this.#bornAtMs)
    this.#predecessor = undefined
  }

  #takePeer(status: ConnectorStatus): void {
    const before = this.#statuses.get(status.connector)
    if (before === undefined && this.#statuses.size >= PEERS_MAX) return
    this.#statuses.set(status.connector, status)
    const isNews = before === undefined || newsOf(before) !== newsOf(status)
    if (isNews && !this.#isReplica(status)) this.#logPeer(status)
  }

  #logPeer(status: ConnectorStatus): void {
    const { log, topics, isOwn } = this.#parts
    const { connector, state } = status
    const models = [...status.models, ...(status.not_ready ?? [])]
    const fields = { peer: connector, state, models }
    const names = models.join(', ') || 'no model'
    if (state === 'offline') {
      log.info(
        { event: 'peer_offline', ...fields },
        `Connector "${connector}" under the same root is offline; it exposed ${names}. If it is gone for good, delete its status: publish an empty retained message to "${topics.status(connector)}".`,
      )
      return
    }
    log.info(
      { event: 'peer_found', ...fields },
      `Connector "${connector}" works under the same root; it exposes ${names}, and answers for these models.`,
    )
    const both = models.filter(isOwn)
    if (both.length === 0) return
    log.warn(
      { event: 'model_exposed_twice', ...fields, models: both },
      `Connector "${connector}" exposes ${both.join(', ')} too: each request is executed and answered twice. Give both connectors the same broker.share, or the models different names.`,
    )
  }

  #logUnreadable({ topic }: Delivery): void {
    this.#parts.log.warn(
      { event: 'status_unreadable', topic },
      `The message on "${topic}" is not the status of a connector, and is ignored.`,
    )
  }
}

function has({ models, not_ready }: ConnectorStatus, model: string): boolean {
  return models.includes(model) || (not_ready?.includes(model) ?? false)
}

// What of it is logged: a status is published again with each connection.
function newsOf({ state, models, not_ready }: ConnectorStatus): string {
  return JSON.stringify([state === 'offline', models, not_ready])
}

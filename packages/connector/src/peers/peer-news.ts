// Logs changes of the peers, and limits the number of lines for each peer.
import type { DiscoveryStatus, TopicSpace } from '@inferwire/protocol'
import type { Log } from '../telemetry/index.ts'
import { LineLimit } from './line-limit.ts'

/** The parts of a peer that are logged. */
export interface PeerDescription {
  readonly connector: string
  readonly isOffline: boolean
  readonly models: ReadonlySet<string>
  readonly discovery: DiscoveryStatus | undefined
}

/** The dependencies of `PeerNews`. */
export interface PeerNewsParts {
  readonly topics: TopicSpace
  /** Whether a model is configured here. */
  readonly isOwn: (model: string) => boolean
  readonly log: Log
}

type Once = 'unknown' | 'arrived late' | 'too large' | 'too many'

// Limit on the number of names in one line.
const NAMES_MAX = 10

/** Writes the log lines about peers. */
export class PeerNews {
  readonly #parts: PeerNewsParts
  readonly #limit = new LineLimit()
  // The once-per-process messages that have already been logged.
  readonly #logged = new Set<Once>()

  constructor(parts: PeerNewsParts) {
    this.#parts = parts
  }

  /**
   * Logs that a peer was found or has changed. Returns false if the line was omitted; the next line about the peer then
   * contains its latest state.
   */
  changed(peer: PeerDescription): boolean {
    const { log, topics, isOwn } = this.#parts
    const { connector, isOffline, models } = peer
    const leftOut = this.#limit.admit(connector, performance.now())
    if (leftOut === undefined) return false
    const fields = { peer: connector, ...listed([...models]), ...(leftOut === 0 ? {} : { leftOut }) }
    const names = `${namesOf([...models])}${namespacesOf(peer.discovery)}`
    if (isOffline) {
      log.info(
        { event: 'peer_offline', ...fields },
        `Connector "${connector}" under the same root is offline; it exposed ${names}. If it will not return, delete its status: publish an empty retained message to "${topics.status(connector)}".`,
      )
      return true
    }
    log.info(
      { event: 'peer_found', ...fields },
      `Found connector "${connector}" under the same root; it exposes ${names}, and answers requests for these models.`,
    )
    const both = [...models].filter(isOwn)
    if (both.length > 0) {
      log.warn(
        { event: 'model_exposed_twice', peer: connector, ...listed(both) },
        `Connector "${connector}" exposes ${namesOf(both)}, as this connector does: each request is executed and answered twice. Give both connectors the same broker.share, or rename the models. The retained card of each model is the one that was published last.`,
      )
    }
    return true
  }

  /** Logs that a peer's status has been deleted. */
  gone(connector: string): void {
    const { log } = this.#parts
    const leftOut = this.#limit.admit(connector, performance.now())
    if (leftOut === undefined) return
    log.info(
      { event: 'peer_gone', peer: connector, ...(leftOut === 0 ? {} : { leftOut }) },
      `The status of connector "${connector}" was deleted: requests for its models are no longer left to it.`,
    )
  }

  /** Logs that a message on a status topic is not a status. */
  unreadable(connector: string): void {
    const topic = this.#parts.topics.status(connector)
    const leftOut = this.#limit.admit(connector, performance.now())
    if (leftOut === undefined) return
    this.#parts.log.warn(
      { event: 'status_unreadable', topic, ...(leftOut === 0 ? {} : { leftOut }) },
      `The message on "${topic}" is not a connector status and is ignored.`,
    )
  }

  /** Logs that a status exceeds the size limit. */
  tooLarge(connector: string, bytes: number, bytesMax: number): void {
    if (!this.#isFirst('too large')) return
    const topic = this.#parts.topics.status(connector)
    this.#parts.log.warn(
      { event: 'status_too_large', topic, bytes },
      `The status on "${topic}" is ${bytes} bytes long, but the limit is ${bytesMax}: this connector ignores the models of connector "${connector}". Distribute them over several connectors. Further statuses above the limit are not logged.`,
    )
  }

  /** Logs that the limit on the number of peers is reached. */
  tooMany(peersMax: number): void {
    if (!this.#isFirst('too many')) return
    const { log, topics } = this.#parts
    log.warn(
      { event: 'peers_too_many', peersMax },
      `More than ${peersMax} connectors have a status on "${topics.statusFilter}": this connector ignores the rest, and answers requests for their models with model_not_found. Delete the statuses of removed connectors.`,
    )
  }

  /** Logs that the connector's own status has not arrived. */
  unknown(waitedMs: number): void {
    if (!this.#isFirst('unknown')) return
    const { log, topics } = this.#parts
    log.warn(
      { event: 'peers_unknown', filter: topics.statusFilter },
      `The connector did not receive its own status from the broker within ${waitedMs} ms. It may not know other connectors under the same root, and may answer requests for their models with model_not_found. Grant the connector's user read access to "${topics.root}/status/#", and use a broker that supports retained messages.`,
    )
  }

  /** Logs that the connector's own status has arrived late, for example behind many replies. */
  arrivedLate(): void {
    if (!this.#isFirst('arrived late')) return
    this.#parts.log.info(
      { event: 'peers_known' },
      'The connector received its own status late. It has read access, and has now found the other connectors under the same root.',
    )
  }

  #isFirst(what: Once): boolean {
    if (this.#logged.has(what)) return false
    this.#logged.add(what)
    return true
  }
}

function listed(names: readonly string[]): { models: readonly string[]; modelCount: number } {
  return { models: names.slice(0, NAMES_MAX), modelCount: names.length }
}

function namespacesOf(discovery: DiscoveryStatus | undefined): string {
  if (discovery === undefined) return ''
  const { namespaces } = discovery
  return namespaces.includes('*')
    ? ' and the models of all namespaces'
    : ` and the models of ${namespaces.length} namespaces (${namespaces.slice(0, NAMES_MAX).join(', ')})`
}

function namesOf(names: readonly string[]): string {
  if (names.length === 0) return 'no model'
  const some = names.slice(0, NAMES_MAX).join(', ')
  return names.length > NAMES_MAX ? `${names.length} models (${some}, …)` : some
}

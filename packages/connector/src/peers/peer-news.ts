// What operators see of the peers: log lines, bounded for each name.
import type { TopicSpace } from '@inferwire/protocol'
import type { Log } from '../telemetry/index.ts'
import { LineLimit } from './line-limit.ts'

/** What a line says about a peer. */
export interface PeerDescription {
  readonly connector: string
  readonly isOffline: boolean
  readonly models: ReadonlySet<string>
}

/** What the lines are made with. */
export interface PeerNewsParts {
  readonly topics: TopicSpace
  /** Whether a model is configured here. */
  readonly isOwn: (model: string) => boolean
  readonly log: Log
}

type Told = 'unknown' | 'known late' | 'too large' | 'too many'

// Names in one line.
const NAMES_MAX = 10

/** See the file's first line. */
export class PeerNews {
  readonly #parts: PeerNewsParts
  readonly #limit = new LineLimit()
  // Told once in the life of the process.
  readonly #told = new Set<Told>()

  constructor(parts: PeerNewsParts) {
    this.#parts = parts
  }

  /** A peer was found or has changed. Returns whether it was logged; if not, the next line says what it is by then. */
  changed(peer: PeerDescription): boolean {
    const { log, topics, isOwn } = this.#parts
    const { connector, isOffline, models } = peer
    const leftOut = this.#limit.admit(connector, performance.now())
    if (leftOut === undefined) return false
    const fields = { peer: connector, ...listed([...models]), ...(leftOut === 0 ? {} : { leftOut }) }
    const names = namesOf([...models])
    if (isOffline) {
      log.info(
        { event: 'peer_offline', ...fields },
        `Connector "${connector}" under the same root is offline; it exposed ${names}. If it is gone for good, delete its status: publish an empty retained message to "${topics.status(connector)}".`,
      )
      return true
    }
    log.info(
      { event: 'peer_found', ...fields },
      `Connector "${connector}" works under the same root; it exposes ${names}, and answers for these models.`,
    )
    const both = [...models].filter(isOwn)
    if (both.length > 0) {
      log.warn(
        { event: 'model_exposed_twice', peer: connector, ...listed(both) },
        `Connector "${connector}" exposes ${namesOf(both)} too: each request is executed and answered twice. Give both connectors the same broker.share, or the models different names.`,
      )
    }
    return true
  }

  /** A peer's status is not there any more. */
  gone(connector: string): void {
    const { log } = this.#parts
    const leftOut = this.#limit.admit(connector, performance.now())
    if (leftOut === undefined) return
    log.info(
      { event: 'peer_gone', peer: connector, ...(leftOut === 0 ? {} : { leftOut }) },
      `The status of connector "${connector}" was deleted: its models are not left to it any more.`,
    )
  }

  /** A message on a status topic that is no status. */
  unreadable(connector: string): void {
    const topic = this.#parts.topics.status(connector)
    const leftOut = this.#limit.admit(connector, performance.now())
    if (leftOut === undefined) return
    this.#parts.log.warn(
      { event: 'status_unreadable', topic, ...(leftOut === 0 ? {} : { leftOut }) },
      `The message on "${topic}" is not the status of a connector, and is ignored.`,
    )
  }

  /** A status with more bytes than are read. */
  tooLarge(connector: string, bytes: number, bytesMax: number): void {
    if (!this.#isFirst('too large')) return
    const topic = this.#parts.topics.status(connector)
    this.#parts.log.warn(
      { event: 'status_too_large', topic, bytes },
      `The status on "${topic}" has ${bytes} bytes, and more than ${bytesMax} are not read: the models of connector "${connector}" are not known here. Share them out to several connectors. Further statuses of this size are not logged.`,
    )
  }

  /** More statuses than are kept. */
  tooMany(peersMax: number): void {
    if (!this.#isFirst('too many')) return
    const { log, topics } = this.#parts
    log.warn(
      { event: 'peers_too_many', peersMax },
      `More than ${peersMax} connectors have a status on "${topics.statusFilter}": those beyond are not known, and requests for their models are answered model_not_found here too. Delete the statuses of connectors that are gone.`,
    )
  }

  /** The own status did not come back. */
  unknown(waitedMs: number): void {
    if (!this.#isFirst('unknown')) return
    const { log, topics } = this.#parts
    log.warn(
      { event: 'peers_unknown', filter: topics.statusFilter },
      `The connector's own status did not come back from the broker within ${waitedMs} ms: other connectors under the same root may not be known, and a request for a model of theirs may be answered model_not_found here too. Grant the connector's user read access to "${topics.root}/status/#", and use a broker that has retained messages.`,
    )
  }

  /** The own status came back later than it was waited for, as it may behind many answers. */
  knownLate(): void {
    if (!this.#isFirst('known late')) return
    this.#parts.log.info(
      { event: 'peers_known' },
      "The connector's own status came back after all: it may read the statuses, and knows the other connectors under the same root now.",
    )
  }

  #isFirst(what: Told): boolean {
    if (this.#told.has(what)) return false
    this.#told.add(what)
    return true
  }
}

function listed(names: readonly string[]): { models: readonly string[]; modelCount: number } {
  return { models: names.slice(0, NAMES_MAX), modelCount: names.length }
}

function namesOf(names: readonly string[]): string {
  if (names.length === 0) return 'no model'
  const some = names.slice(0, NAMES_MAX).join(', ')
  return names.length > NAMES_MAX ? `${names.length} models (${some}, …)` : some
}

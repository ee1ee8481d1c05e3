// Publishes the connector's status and its models' cards as retained messages, and builds its Will.
import {
  CONTRACT_VERSION,
  type ConnectorStatus,
  type DiscoveryStatus,
  type ModelCard,
  type TopicSpace,
} from '@inferwire/protocol'
import type { PublishResult } from '../step.ts'
import { RetainedPublisher } from './retained-publisher.ts'

/** A retained message. */
export interface RetainedMessage {
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: 1
  readonly retain: true
  readonly properties: { contentType: string; payloadFormatIndicator: number }
}

/** Dependencies of `Presence`. */
export interface PresenceParts {
  readonly topics: TopicSpace
  /** The connector's name: a level of its status topic. */
  readonly name: string
  readonly version: string
  /** Name of the shared subscription, if any. */
  readonly share: string | undefined
  /** Configured models that are exposed. */
  readonly ready: () => readonly string[]
  /** Configured models that are not exposed yet. */
  readonly notReady: () => readonly string[]
  /** The models that were found in a cluster, in numbers; undefined without discovery. */
  readonly discovery: () => DiscoveryStatus | undefined
  /** Returns whether another connector exposes a model with this name, and therefore publishes its card too. */
  readonly isExposedByPeer: (model: string) => boolean
  /** The published cards, by name. */
  readonly cards: () => ReadonlyMap<string, ModelCard>
  readonly publish: (message: RetainedMessage) => Promise<PublishResult>
  /** Called if the broker refuses a retained message. */
  readonly refused: (topic: string, reasonCode: number) => void
}

/** Publishes the status and cards, and updates them. */
export class Presence {
  readonly #parts: PresenceParts
  readonly #retained = new RetainedPublisher((topic, payload) => this.#send(topic, payload))
  #state: ConnectorStatus['state'] = 'online'
  #bornAtMs = 0
  #isConnected = false
  #published = ''
  #isStatusDue = false
  /** Names whose cards are on the broker; no more than the cards that were published in the last connection. */
  readonly #onBroker = new Set<string>()

  constructor(parts: PresenceParts) {
    this.#parts = parts
  }

  /** Returns the Will of a connection that begins at this time (milliseconds since the epoch). */
  will(bornAtMs: number): { readonly topic: string; readonly payload: string } {
    return { topic: this.#statusTopic, payload: JSON.stringify(this.#status('offline', bornAtMs)) }
  }

  /** Handles a session that has become ready: publishes the status and all cards. */
  connected(bornAtMs: number): void {
    this.#bornAtMs = bornAtMs
    this.#isConnected = true
    void this.#publishStatus()
    const cards = this.#parts.cards()
    for (const name of this.#onBroker) if (!cards.has(name)) this.#publishCard(name, undefined)
    for (const [name, card] of cards) this.#publishCard(name, card)
  }

  /** Records that the connection has ended; the next connection publishes everything again. */
  disconnected(): void {
    this.#isConnected = false
  }

  /**
   * Publishes a changed card, or clears it if its model was removed (`undefined`). While disconnected, nothing is
   * queued: the next connection publishes all current cards, and clears those of models that were removed.
   */
  cardChanged(name: string, card: ModelCard | undefined): void {
    if (this.#isConnected) this.#publishCard(name, card)
    this.statusChanged()
  }

  /** Publishes the status if it has changed. */
  statusChanged(): void {
    // Several cards may change in one turn of the event loop; a single status message covers all these changes.
    if (this.#isStatusDue) return
    this.#isStatusDue = true
    setImmediate(() => this.#publishChangedStatus())
  }

  /**
   * Publishes again the cards of the given models that are exposed here, because another connector published
   * cards of these models last.
   */
  cardsAgain(models: readonly string[]): void {
    if (!this.#isConnected) return
    for (const name of models) {
      const card = this.#parts.cards().get(name)
      if (card !== undefined) this.#publishCard(name, card)
    }
  }

  /**
   * Clears the cards of models that are listed in a predecessor's status and are no longer configured. The predecessor
   * may have ended without clearing these cards.
   */
  clearCardsOf(earlier: ConnectorStatus): void {
    const { cards, notReady } = this.#parts
    const pending = new Set(notReady())
    for (const name of [...earlier.models, ...(earlier.not_ready ?? [])]) {
      if (!cards().has(name) && !pending.has(name)) this.#publishCard(name, undefined)
    }
  }

  /** Clears a card that an earlier process left for a model that is not exposed any more. */
  clearCard(name: string): void {
    if (!this.#parts.cards().has(name)) this.#publishCard(name, undefined)
  }

  /**
   * Publishes a new state. Resolves when the broker has acknowledged or refused it. While disconnected it resolves at
   * once, because the broker publishes the Will.
   */
  async announce(state: 'draining' | 'offline'): Promise<void> {
    this.#state = state
    if (this.#isConnected) await this.#publishStatus()
  }

  get #statusTopic(): string {
    return this.#parts.topics.status(this.#parts.name)
  }

  #publishChangedStatus(): void {
    this.#isStatusDue = false
    const isCurrent = JSON.stringify(this.#status(this.#state, this.#bornAtMs)) === this.#published
    if (this.#isConnected && !isCurrent) void this.#publishStatus()
  }

  // An empty retained message removes the previous retained message (MQTT 5 §3.3.1.3).
  #publishCard(name: string, card: ModelCard | undefined): void {
    if (card === undefined) this.#onBroker.delete(name)
    else this.#onBroker.add(name)
    if (card === undefined && this.#parts.isExposedByPeer(name)) return
    const topic = this.#parts.topics.card(name)
    const payload = card === undefined ? '' : JSON.stringify({ ...card, connector: this.#parts.name })
    void this.#retained.publish(topic, payload)
  }

  #publishStatus(): Promise<void> {
    this.#published = JSON.stringify(this.#status(this.#state, this.#bornAtMs))
    return this.#retained.publish(this.#statusTopic, this.#published)
  }

  #status(state: ConnectorStatus['state'], bornAtMs: number): ConnectorStatus {
    const { name, version, share } = this.#parts
    const notReady = this.#parts.notReady()
    const discovery = this.#parts.discovery()
    return {
      contract: CONTRACT_VERSION,
      connector: name,
      state,
      version,
      timestamp: bornAtMs,
      models: this.#parts.ready(),
      ...(notReady.length === 0 ? {} : { not_ready: notReady }),
      ...(discovery === undefined ? {} : { discovery }),
      ...(share === undefined ? {} : { share }),
    }
  }

  async #send(topic: string, payload: string): Promise<void> {
    const result = await this.#parts.publish({
      topic,
      payload: new TextEncoder().encode(payload),
      qos: 1,
      retain: true,
      properties: { contentType: 'application/json', payloadFormatIndicator: 1 },
    })
    if (result.kind === 'refused') this.#parts.refused(topic, result.reasonCode)
  }
}

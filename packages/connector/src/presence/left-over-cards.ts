// Clears the cards that an earlier process of this connector left on the broker for models that no longer exist.
import { isModelName, readCard, type TopicSpace } from '@inferwire/protocol'
import type { Delivery } from '../step.ts'

/** Dependencies of `LeftOverCards`. */
export interface LeftOverCardsParts {
  readonly topics: TopicSpace
  /** The name of this connector, which its cards contain. */
  readonly name: string
  /** Whether a model has a card of this process. */
  readonly isOwn: (model: string) => boolean
  readonly clear: (model: string) => void
}

// Limit on the names that wait for the first complete list of the cluster.
const NAMES_MAX = 20_000
// A card with 64 inputs and outputs is smaller; a larger message is not one of our cards.
const CARD_BYTES_MAX = 256 * 1024

/**
 * Reads the retained cards. The status names only the configured models, so the cards of discovered models that were
 * deleted while the connector was stopped are found on the broker.
 */
export class LeftOverCards {
  readonly #parts: LeftOverCardsParts
  /** Cards of an earlier process, until the models are known; undefined = they are known. */
  #waiting: Set<string> | undefined = new Set()

  constructor(parts: LeftOverCardsParts) {
    this.#parts = parts
  }

  /** The topic filter of the cards. */
  get filter(): string {
    return this.#parts.topics.card('+')
  }

  /** Handles the first complete list of the cluster's models: every other card of this connector is left over. */
  known(): void {
    const waiting = this.#waiting ?? []
    this.#waiting = undefined
    for (const name of waiting) this.#clear(name)
  }

  /** Reads and settles a card. Returns false if the delivery is not a card. */
  take(delivery: Delivery): boolean {
    const { topic } = delivery
    const start = this.#parts.topics.card('')
    if (!topic.startsWith(start)) return false
    const name = topic.slice(start.length)
    if (!this.#parts.isOwn(name) && this.#isLeftOver(name, delivery)) {
      if (this.#waiting === undefined) this.#clear(name)
      else if (this.#waiting.size < NAMES_MAX) this.#waiting.add(name)
    }
    delivery.release()
    delivery.settle()
    return true
  }

  #isLeftOver(name: string, { isWhole, payloadBytes, payload }: Delivery): boolean {
    if (!isWhole || payloadBytes === 0 || payloadBytes > CARD_BYTES_MAX || !isModelName(name)) return false
    return readCard(name, payload).card?.connector === this.#parts.name
  }

  #clear(name: string): void {
    if (!this.#parts.isOwn(name)) this.#parts.clear(name)
  }
}

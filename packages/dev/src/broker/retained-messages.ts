// Stores the retained messages (MQTT 5 §3.3.1.3) by topic name, up to a limit.
import { isExpired, type Message } from './message.ts'
import { TopicTree, treeBytes } from './topic-tree.ts'

const MESSAGES_MAX = 10_000
const BYTES_MAX = 256 * 1024 * 1024

/** The store of retained messages. */
export class RetainedMessages {
  readonly #messages = new Map<string, Message>()
  readonly #tree = new TopicTree<Message>()
  readonly #log: (line: string) => void
  #bytes = 0
  // A lower bound: no stored message expires before this time.
  #expiresAtMs = Number.POSITIVE_INFINITY
  #isFull = false

  constructor(log: (line: string) => void) {
    this.#log = log
  }

  /** Replaces the topic's message, or removes it if the payload is empty. Returns false if the limit is reached. */
  keep(message: Message): boolean {
    if (message.payload.length === 0) {
      this.delete(message.topic)
      return true
    }
    if (!this.#hasRoom(message)) this.#deleteExpired()
    // The old message must remain if there is no room for the new one.
    if (!this.#hasRoom(message)) {
      this.#logFull()
      return false
    }
    this.delete(message.topic)
    this.#messages.set(message.topic, message)
    this.#tree.add(message.topic, message)
    this.#bytes += sizeOf(message)
    this.#expiresAtMs = Math.min(this.#expiresAtMs, message.expiresAtMs ?? Number.POSITIVE_INFINITY)
    return true
  }

  delete(topic: string): void {
    const message = this.#messages.get(topic)
    if (message === undefined) return
    this.#messages.delete(topic)
    this.#tree.delete(topic, message)
    this.#bytes -= sizeOf(message)
    if (this.#messages.size < MESSAGES_MAX / 2 && this.#bytes < BYTES_MAX / 2) this.#isFull = false
  }

  /**
   * Yields the messages whose topics the filter matches. In addition, yields undefined once for each step of the
   * search.
   */
  *matchedBy(filter: string): Generator<Message | undefined, void> {
    for (const message of this.#tree.matchedBy(filter)) {
      if (message === undefined || !isExpired(message)) yield message
      else this.delete(message.topic)
    }
  }

  #hasRoom(message: Message): boolean {
    const replaced = this.#messages.get(message.topic)
    const count = this.#messages.size + (replaced === undefined ? 1 : 0)
    const bytes = this.#bytes + sizeOf(message) - (replaced === undefined ? 0 : sizeOf(replaced))
    return count <= MESSAGES_MAX && bytes <= BYTES_MAX
  }

  #deleteExpired(): void {
    if (this.#expiresAtMs > Date.now()) return
    this.#expiresAtMs = Number.POSITIVE_INFINITY
    for (const message of this.#messages.values()) {
      if (isExpired(message)) this.delete(message.topic)
      else if (message.expiresAtMs !== undefined) {
        this.#expiresAtMs = Math.min(this.#expiresAtMs, message.expiresAtMs)
      }
    }
  }

  // Logs that the limit is reached. The line is not repeated until half of the space has become free.
  #logFull(): void {
    if (this.#isFull) return
    this.#isFull = true
    this.#log(
      `MQTT: ${this.#messages.size} messages with ${this.#bytes} bytes are retained, which is the limit. Further messages are delivered, but not retained.`,
    )
  }
}

function sizeOf({ topic, bytes }: Message): number {
  return bytes + treeBytes(topic)
}

// Knows how long a lost connection's deliveries may still be redelivered, so that each is answered once.

// The broker redelivers right after CONNACK (MQTT 5 §4.4); what has not arrived by then is not worth waiting for.
const REDELIVERED_AFTER_MS = 2_000

/** See the file's first line. One instance per session. */
export class Redelivery {
  readonly #lossMaxMs: number | undefined
  #pending: Promise<void> | undefined
  #end: (() => void) | undefined
  #timer: NodeJS.Timeout | undefined
  #lossTimer: NodeJS.Timeout | undefined
  // Since the last connection.
  #isGivenUp = false
  #isClosed = false

  /** `lossMaxMs`: without a new connection nothing is expected for longer. @default as long as it takes */
  constructor(lossMaxMs?: number) {
    this.#lossMaxMs = lossMaxMs
  }

  /** Resolves when the broker has redelivered everything that it will. Undefined: nothing is expected. */
  get pending(): Promise<void> | undefined {
    return this.#pending
  }

  /** The connection is over, or an attempt has failed. */
  disconnected(): void {
    clearTimeout(this.#timer)
    if (this.#pending !== undefined || this.#isGivenUp || this.#isClosed) return
    this.#pending = new Promise((resolve) => (this.#end = resolve))
    if (this.#lossMaxMs !== undefined)
      this.#lossTimer = setTimeout(() => this.#giveUp(), this.#lossMaxMs).unref()
  }

  /** A new connection is up. A session that the broker has forgotten redelivers nothing. */
  connected(sessionPresent: boolean): void {
    clearTimeout(this.#timer)
    this.#isGivenUp = false
    if (!sessionPresent) return this.#ended()
    this.#timer = setTimeout(() => this.#ended(), REDELIVERED_AFTER_MS).unref()
  }

  /** No further connection will follow. */
  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
    this.#ended()
  }

  #giveUp(): void {
    this.#isGivenUp = true
    this.#ended()
  }

  #ended(): void {
    clearTimeout(this.#lossTimer)
    this.#end?.()
    this.#pending = this.#end = undefined
  }
}

// Tracks how long the deliveries of a lost connection may still be redelivered, so that each is answered once.

// The broker redelivers right after CONNACK (MQTT 5 §4.4); a redelivery that comes later is not worth waiting for.
const REDELIVERED_AFTER_MS = 2_000

/** Determines when the deliveries of a lost connection can no longer be redelivered. One instance per session. */
export class Redelivery {
  readonly #lossMaxMs: number | undefined
  #pending: Promise<void> | undefined
  #end: (() => void) | undefined
  #timer: NodeJS.Timeout | undefined
  #lossTimer: NodeJS.Timeout | undefined
  // Whether, after the last connection ended, the wait for redeliveries reached its limit and was given up.
  #isGivenUp = false
  #isClosed = false

  /**
   * @param lossMaxMs after how many milliseconds without a connection a redelivery is no longer expected.
   * @default no limit
   */
  constructor(lossMaxMs?: number) {
    this.#lossMaxMs = lossMaxMs
  }

  /** Resolves when no further redelivery is expected; undefined if none is expected now. */
  get pending(): Promise<void> | undefined {
    return this.#pending
  }

  /** Handles the end of a connection, or a failed attempt to connect. */
  disconnected(): void {
    clearTimeout(this.#timer)
    if (this.#pending !== undefined || this.#isGivenUp || this.#isClosed) return
    this.#pending = new Promise((resolve) => (this.#end = resolve))
    if (this.#lossMaxMs !== undefined)
      this.#lossTimer = setTimeout(() => this.#giveUp(), this.#lossMaxMs).unref()
  }

  /** Handles a new connection. A broker that has discarded the session redelivers nothing. */
  connected(sessionPresent: boolean): void {
    clearTimeout(this.#timer)
    this.#isGivenUp = false
    if (!sessionPresent) return this.#ended()
    this.#timer = setTimeout(() => this.#ended(), REDELIVERED_AFTER_MS).unref()
  }

  /** Ends the wait for redeliveries, because no further connection will follow. */
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

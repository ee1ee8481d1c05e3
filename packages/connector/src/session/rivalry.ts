// Detects another client that keeps taking over the session, if the broker gives no reason for closing connections.

// A connection that ends this soon after it became ready counts as brief.
const BRIEF_MS = 5_000
const IN_A_ROW = 3
const FIRST_DELAY_MS = 4_000
const DELAY_GROWTH = 4
const DELAY_MAX_MS = 30_000

/**
 * Detects a second client with the same client identifier. Mosquitto up to 2.0, and every broker with MQTT 3.1.1,
 * closes the older of the two connections without giving a reason. Each client then sees its new connection
 * accepted at once, and closed soon afterwards. An unstable network causes resets or silence instead, and a
 * restarting broker refuses connections for a moment.
 */
export class Rivalry {
  #inARow = 0
  #delayMs = 0

  /**
   * Records the end of a connection attempt. `lastedMs` is the time since the connection became ready; undefined
   * if it never became ready. `isUnprovoked`: the broker closed the connection without a reason, and none of our
   * packets explains this. Returns how long to wait before reconnecting, in milliseconds, so that one of the two
   * clients can work. The first waits are 0, because an immediate attempt separates two causes: a restarting
   * broker refuses the attempt, and a broker with a rival client accepts it. Returns undefined while no rival is
   * suspected.
   */
  ended(lastedMs: number | undefined, isUnprovoked: boolean): number | undefined {
    // Each client's connection lasts as long as the other client waits, so the threshold for a brief connection
    // grows with the wait.
    const briefMs = Math.max(BRIEF_MS, Math.min(8 * this.#delayMs, 2 * DELAY_MAX_MS))
    if (lastedMs === undefined || lastedMs >= briefMs) {
      this.#inARow = 0
      this.#delayMs = 0
      return undefined
    }
    if (!isUnprovoked) return undefined
    this.#inARow += 1
    if (this.#inARow < IN_A_ROW) return 0
    this.#delayMs = Math.min(Math.max(FIRST_DELAY_MS, this.#delayMs * DELAY_GROWTH), DELAY_MAX_MS)
    return this.#delayMs
  }

  /** Number of consecutive connections that were closed soon after they became ready. */
  get inARow(): number {
    return this.#inARow
  }
}

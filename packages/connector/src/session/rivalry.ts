// Tells a client that takes our session over again and again from a network that breaks: the broker may not say so.

// A connection that ends this soon after it was ready did not do its work.
const BRIEF_MS = 5_000
const IN_A_ROW = 3
const FIRST_DELAY_MS = 4_000
const DELAY_GROWTH = 4
const DELAY_MAX_MS = 30_000

/**
 * Mosquitto up to 2.0 and every broker of MQTT 3.1.1 end the older of two connections with one client id without a
 * word. What is left to see: the broker closes one connection after the other, and takes the next one at once. A
 * network that breaks resets or falls silent instead, and a broker that restarts refuses for a moment.
 */
export class Rivalry {
  #inARow = 0
  #delayMs = 0

  /**
   * An attempt is over. `lastedMs` is the time since the connection was ready, undefined when it never was;
   * `isUnprovoked` = the broker closed it without a word, and without anything of ours to object to.
   * Returns how long to stay away, in milliseconds, so that one of the two works: at first 0, because a broker that
   * restarts refuses whoever comes back at once, and a rival's does not. Undefined while nobody is suspected.
   */
  ended(lastedMs: number | undefined, isUnprovoked: boolean): number | undefined {
    // Whoever was away for a while lets the other live that long.
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

  /** Connections that ended so, one after the other. */
  get inARow(): number {
    return this.#inARow
  }
}

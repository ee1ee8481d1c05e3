// Tracks whether our publishes may be retained, as reported by CONNACK or by the broker's refusals.
import { SessionRefusal } from './refusal.ts'

// Retain not supported (MQTT 5 §3.2.2.2, §3.14.2.1).
const RETAIN_NOT_SUPPORTED = 0x9a

/** Tracks for one session whether the broker accepts retained messages. Requests are answered in either case. */
export class Retention {
  // `in the Will`: the last CONNACK did not allow retained messages. `sent`: CONNACK allowed them, but the broker ended
  // the connection because of a retained publish.
  #refused: 'nothing' | 'in the Will' | 'sent' = 'nothing'
  #hasWarned = false

  /**
   * Whether the Will in CONNECT is retained: a broker that does not support retained messages rejects a retained Will
   * (MQTT-3.2.2-13).
   */
  get isInWill(): boolean {
    return this.#refused === 'nothing'
  }

  /** Handles a successful CONNACK. Returns whether publishes may be retained on this connection (MQTT-3.2.2-14). */
  connected(retainAvailable: boolean): boolean {
    if (this.#refused !== 'sent') this.#refused = retainAvailable ? 'nothing' : 'in the Will'
    if (this.isInWill) this.#hasWarned = false
    return this.isInWill
  }

  /**
   * Handles the end of a connection. Returns true if the next connection attempt may follow at once, because it
   * will not use retained messages.
   */
  ended(reason: Error): boolean {
    if (!(reason instanceof SessionRefusal) || reason.reasonCode !== RETAIN_NOT_SUPPORTED) return false
    const isNews = this.#refused === 'nothing'
    this.#refused = reason.packet === 'CONNACK' ? 'in the Will' : 'sent'
    return isNews
  }

  /**
   * Returns whether the operator must be warned now. After it has returned true, it returns false until retained
   * messages have become available again.
   */
  mustWarn(): boolean {
    const hasWarned = this.#hasWarned
    this.#hasWarned = !this.isInWill
    return this.#hasWarned && !hasWarned
  }
}

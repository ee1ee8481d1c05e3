// Whether what we publish may be retained: CONNACK says so, or a refusal of the broker does.
import { SessionRefusal } from './refusal.ts'

// Retain not supported (MQTT 5 §3.2.2.2, §3.14.2.1).
const RETAIN_NOT_SUPPORTED = 0x9a

/** One instance lives as long as the session. Requests are answered without retained messages too. */
export class Retention {
  // `in the Will`: the last CONNACK did not allow it. `sent`: the broker hung up on a retained publish, though CONNACK
  // had allowed it.
  #refused: 'nothing' | 'in the Will' | 'sent' = 'nothing'
  #isTold = false

  /** For CONNECT: a broker without retained messages refuses a retained Will (MQTT-3.2.2-13). */
  get isInWill(): boolean {
    return this.#refused === 'nothing'
  }

  /** CONNACK with success. Returns whether publishes may be retained on this connection (MQTT-3.2.2-14). */
  connected(retainAvailable: boolean): boolean {
    if (this.#refused !== 'sent') this.#refused = retainAvailable ? 'nothing' : 'in the Will'
    if (this.isInWill) this.#isTold = false
    return this.isInWill
  }

  /** The connection is over. Returns true when the next one may come at once: it will ask for less. */
  ended(reason: Error): boolean {
    if (!(reason instanceof SessionRefusal) || reason.reasonCode !== RETAIN_NOT_SUPPORTED) return false
    const isNews = this.#refused === 'nothing'
    this.#refused = reason.packet === 'CONNACK' ? 'in the Will' : 'sent'
    return isNews
  }

  /** Whether the operator must be told now; once, until retained messages are there again. */
  mustTell(): boolean {
    const isTold = this.#isTold
    this.#isTold = !this.isInWill
    return this.#isTold && !isTold
  }
}

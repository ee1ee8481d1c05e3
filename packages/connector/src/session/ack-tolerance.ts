// Detects brokers that do not accept PUBACKs out of order: some end the connection, others ignore such PUBACKs.
import type { AckOrder } from './ack-order.ts'

/** The functions of the session that this detection calls. */
export interface AckToleranceSession {
  /** Ends the connection and opens a new one. The session then calls `redelivered` for each QoS 1 delivery. */
  reconnect(): void
  /**
   * Called when the broker requires PUBACKs in order: from now on, no PUBACK may overtake another. `symptom`
   * states what the broker did, as a sentence without its subject.
   */
  insists(symptom: string): void
}

// rumqttd ends the connection immediately. If more time has passed, the connection ended for another reason.
const HANGS_UP_WITHIN_MS = 1_000
const HANGS_UP_IN_A_ROW = 2
const QUIET_MS = 5_000
// Fewer ignored PUBACKs prove nothing: the messages may still be in transit.
const IGNORED_MIN = 10

/**
 * Detects two kinds of broker that do not accept a PUBACK out of order.
 * The first kind ends the connection without answering the ping that follows the first such PUBACK. (A broker that
 * answers the ping may still close the connection within the next second; two such closures in a row are taken as
 * proof.) If the connection stays open, the broker is not of the first kind.
 * The second kind (EMQX with durable sessions) ignores such PUBACKs, counts the acknowledged messages as in flight
 * forever, and stops delivering when its window is full. Because a broker that has no requests to deliver looks
 * the same, a new connection serves as a probe: every broker redelivers the open messages, and the second kind
 * also redelivers the acknowledged messages. The redelivered messages are counted, not identified, because some
 * brokers assign new identifiers to them.
 */
export class AckTolerance {
  readonly #session: AckToleranceSession
  #verdict: 'unknown' | 'tolerant' | 'insists' = 'unknown'
  // Whether a connection stayed open long enough after a PUBACK out of order.
  #hasSurvived = false
  #overtookAtMs: number | undefined
  #isAnswered = false
  #endedSoonInARow = 0
  // Largest number of messages that were in flight at the same time, as counted by a broker that ignores PUBACKs out of
  // order. The broker's window is at least this large.
  #windowMax = 0
  #probe: { readonly redeliveredMax: number; redelivered: number } | undefined
  #timer: NodeJS.Timeout | undefined
  #isStopped = false

  constructor(session: AckToleranceSession) {
    this.#session = session
  }

  /** Whether PUBACKs must be sent in order, because the broker requires it or a probe is running. */
  get isStrict(): boolean {
    return this.#verdict === 'insists' || this.#probe !== undefined
  }

  /** Whether this connection is a probe. If so, `redelivered` must be called for each QoS 1 delivery. */
  get isProbing(): boolean {
    return this.#probe !== undefined
  }

  /** Handles CONNACK. A new session resets the detection, because the session may belong to another broker. */
  connected(sessionPresent: boolean): void {
    if (sessionPresent) return
    this.#probe = undefined
    this.#windowMax = 0
    this.#verdict = 'unknown'
    this.#hasSurvived = false
    this.#endedSoonInARow = 0
  }

  /** Handles the first overtaking PUBACK on this connection. It has been written, and a ping follows it. */
  overtook(order: AckOrder, receiveMaximum: number): void {
    this.#overtookAtMs = performance.now()
    this.#isAnswered = false
    if (this.#verdict === 'unknown' && !this.#isStopped) this.#watch(order, receiveMaximum)
  }

  /** Handles the broker's answer to the ping that followed the first overtaking PUBACK. */
  answered(): void {
    this.#isAnswered = true
  }

  /** Handles a QoS 1 delivery on a probing connection. */
  redelivered(dup: boolean): void {
    const probe = this.#probe
    if (probe === undefined) return
    if (!dup) {
      // MQTT 5 §4.4: redelivered messages come before new messages, so the redelivery is complete.
      this.#probe = undefined
      this.#verdict = 'tolerant'
      return
    }
    probe.redelivered += 1
    if (probe.redelivered > probe.redeliveredMax)
      this.#insists('redelivered messages that had been acknowledged out of order')
  }

  /**
   * Handles the end of the connection. `isByBroker` means that the broker ended it, possibly because of our packets.
   */
  ended(order: AckOrder, isByBroker: boolean): void {
    clearTimeout(this.#timer)
    this.#windowMax = Math.max(this.#windowMax, order.pendingMax, order.openIfIgnored)
    const overtookAtMs = this.#overtookAtMs
    this.#overtookAtMs = undefined
    if (overtookAtMs === undefined || this.#hasSurvived) return
    if (performance.now() - overtookAtMs > HANGS_UP_WITHIN_MS) {
      this.#hasSurvived = true
      return
    }
    if (!isByBroker) return
    this.#endedSoonInARow += 1
    if (!this.#isAnswered || this.#endedSoonInARow === HANGS_UP_IN_A_ROW)
      this.#insists('ended the connection after the first such PUBACK')
  }

  /**
   * Stops the detection, because the session accepts no more requests. From now on it is normal that the broker
   * delivers nothing.
   */
  stop(): void {
    clearTimeout(this.#timer)
    this.#isStopped = true
  }

  #insists(symptom: string): void {
    this.#probe = undefined
    if (this.#verdict === 'insists') return
    this.#verdict = 'insists'
    this.#session.insists(symptom)
  }

  #watch(order: AckOrder, receiveMaximum: number): void {
    const { newest } = order
    this.#timer = setTimeout(() => {
      const open = order.openIfIgnored
      const ignored = open - order.pending
      // A broker that ignores PUBACKs would have stopped delivering at Receive Maximum.
      if (open > receiveMaximum) this.#verdict = 'tolerant'
      else if (order.newest !== newest || ignored < IGNORED_MIN || open < this.#windowMaxOf(order))
        this.#watch(order, receiveMaximum)
      else {
        this.#probe = { redeliveredMax: order.pending + ignored / 2, redelivered: 0 }
        this.#session.reconnect()
      }
    }, QUIET_MS)
    this.#timer.unref()
  }

  #windowMaxOf(order: AckOrder): number {
    return Math.max(this.#windowMax, order.pendingMax)
  }
}

// Detects brokers that do not accept PUBACKs out of order: some end the connection, others ignore them.
import type { AckOrder } from './ack-order.ts'

/** The actions on the session. */
export interface AckToleranceSession {
  /** Ends the connection and opens a new one, on which `redelivered` is called. */
  reconnect(): void
  /** The broker requires order: no PUBACK may overtake another from now on. `symptom` completes the sentence "it …". */
  insists(symptom: string): void
}

// rumqttd ends the connection immediately. If the end comes later than this, it has another reason.
const HANGS_UP_WITHIN_MS = 1_000
const HANGS_UP_IN_A_ROW = 2
const QUIET_MS = 5_000
// Fewer ignored PUBACKs prove nothing: the messages may still be in transit.
const IGNORED_MIN = 10

/**
 * Detects two kinds of broker that do not accept a PUBACK out of order.
 * The first kind ends the connection without answering the ping that follows the first such PUBACK. (A broker that
 * answers may still end it within the next second; two such ends in a row are taken as proof.) A connection that
 * survives proves the opposite.
 * The second kind (EMQX with durable sessions) ignores such PUBACKs, counts the messages as in flight forever, and
 * stops delivering when its window is full. That looks like a broker without requests, so a probe on a new connection
 * decides: every broker redelivers the open messages, and this kind also redelivers the acknowledged ones. The
 * redelivered messages are counted, because some brokers assign new identifiers to them.
 */
export class AckTolerance {
  readonly #session: AckToleranceSession
  #verdict: 'unknown' | 'tolerant' | 'insists' = 'unknown'
  // A connection has survived a PUBACK out of order.
  #hasSurvived = false
  #overtookAtMs: number | undefined
  #isAnswered = false
  #endedSoonInARow = 0
  // The most messages that were in flight at once, as counted by a broker that ignores PUBACKs out of order. The
  // broker's window is at least this large.
  #windowMax = 0
  #probe: { readonly redeliveredMax: number; redelivered: number } | undefined
  #timer: NodeJS.Timeout | undefined
  #isStopped = false

  constructor(session: AckToleranceSession) {
    this.#session = session
  }

  /** Whether PUBACKs must keep the order: the broker requires it, or a probe is running. */
  get isStrict(): boolean {
    return this.#verdict === 'insists' || this.#probe !== undefined
  }

  /** Whether this connection is a probe; `redelivered` must be called. */
  get isProbing(): boolean {
    return this.#probe !== undefined
  }

  /** CONNACK has arrived. A new session may belong to another broker. */
  connected(sessionPresent: boolean): void {
    if (sessionPresent) return
    this.#probe = undefined
    this.#windowMax = 0
    this.#verdict = 'unknown'
    this.#hasSurvived = false
    this.#endedSoonInARow = 0
  }

  /** The first PUBACK that overtakes another one on this connection has been written; a ping follows it. */
  overtook(order: AckOrder, receiveMaximum: number): void {
    this.#overtookAtMs = performance.now()
    this.#isAnswered = false
    if (this.#verdict === 'unknown' && !this.#isStopped) this.#watch(order, receiveMaximum)
  }

  /** The broker has answered the ping after the first overtaking PUBACK, and the connection survives. */
  answered(): void {
    this.#isAnswered = true
  }

  /** A QoS 1 delivery has arrived on a probing connection. */
  redelivered(dup: boolean): void {
    const probe = this.#probe
    if (probe === undefined) return
    if (!dup) {
      // MQTT 5 §4.4: redelivered messages come first.
      this.#probe = undefined
      this.#verdict = 'tolerant'
      return
    }
    probe.redelivered += 1
    if (probe.redelivered > probe.redeliveredMax)
      this.#insists('redelivered messages that had been acknowledged out of order')
  }

  /** The connection has ended. `isByBroker`: the broker ended it, and our packets may be the reason. */
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
      this.#insists('ended the connection after the first one')
  }

  /** No new requests are accepted: a broker that delivers nothing is no longer suspicious. */
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
      // A broker that ignores PUBACKs would never have delivered so many.
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

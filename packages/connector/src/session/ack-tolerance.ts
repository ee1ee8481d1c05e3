// Finds out whether the broker accepts PUBACKs that overtake others: a few hang up on them, or throw them away.
import type { AckOrder } from './ack-order.ts'

/** What the judgement needs of the session. */
export interface AckToleranceSession {
  /** Ends the connection and makes a new one, on which `redelivered` is called. */
  reconnect(): void
  /** The broker insists on order: PUBACKs must not overtake any more. `symptom` completes the sentence "it …". */
  insists(symptom: string): void
}

// rumqttd ends the connection at once. Later it has another reason.
const HANGS_UP_WITHIN_MS = 1_000
const HANGS_UP_IN_A_ROW = 2
const QUIET_MS = 5_000
// Fewer ignored PUBACKs are no proof: other messages may be on their way.
const IGNORED_MIN = 10

/**
 * Two kinds of broker do not accept a PUBACK out of order. One ends the connection: it does not even answer the ping that
 * follows the first of them. (One that answers may still end it in the next second; twice in a row is no accident.) A
 * connection that lives on proves the opposite. The other one (EMQX with durable sessions) ignores
 * them, counts the messages as open for ever, and stops delivering when its window is full. That looks like a broker
 * without work, so a new connection finds out: every broker redelivers what is open, this one also what was
 * acknowledged. They are counted: some brokers give redelivered messages other identifiers.
 */
export class AckTolerance {
  readonly #session: AckToleranceSession
  #verdict: 'unknown' | 'tolerant' | 'insists' = 'unknown'
  // A connection lived on after a PUBACK out of order.
  #hasSurvived = false
  #overtookAtMs: number | undefined
  #isAnswered = false
  #endedSoonInARow = 0
  // The largest number of messages that were open at once, for a broker that ignores PUBACKs out of order. While more
  // than that can be open, the window of the broker is not full.
  #windowMax = 0
  #probe: { readonly redeliveredMax: number; redelivered: number } | undefined
  #timer: NodeJS.Timeout | undefined
  #isStopped = false

  constructor(session: AckToleranceSession) {
    this.#session = session
  }

  /** PUBACKs must leave in order: the broker insists, or is about to show whether it does. */
  get isStrict(): boolean {
    return this.#verdict === 'insists' || this.#probe !== undefined
  }

  /** The connection is there to find out; `redelivered` must be called. */
  get isProbing(): boolean {
    return this.#probe !== undefined
  }

  /** CONNACK. A session that is new may be with another broker. */
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

  /** The broker has read the first of them, and the connection lives. */
  answered(): void {
    this.#isAnswered = true
  }

  /** A QoS 1 delivery on a connection that is there to find out. */
  redelivered(dup: boolean): void {
    const probe = this.#probe
    if (probe === undefined) return
    if (!dup) {
      // MQTT 5 §4.4: what is redelivered comes first.
      this.#probe = undefined
      this.#verdict = 'tolerant'
      return
    }
    probe.redelivered += 1
    if (probe.redelivered > probe.redeliveredMax)
      this.#insists('redelivered messages that had been acknowledged out of order')
  }

  /** The connection is over. `isByBroker` = the broker ended it, without a reason that has nothing to do with us. */
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

  /** Nothing new is taken: a broker without deliveries is no suspect any more. */
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
      // It would never have delivered so many.
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

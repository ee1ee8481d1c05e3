// What a session is made with, and what it tells.
import type { AckOrderKind, Identifiers, Keeper } from './ack-order.ts'
import type { BrokerLimits } from './broker-limits.ts'
import type { ReceivedDelivery } from './delivery.ts'
import type { ByteStream, DialTarget } from './dial.ts'
import type { ReconnectBounds } from './reconnect-delay.ts'

/** What a session is made with. */
export interface SessionOptions extends DialTarget {
  readonly protocolVersion: 4 | 5
  /** Must be the same after a restart: the broker keeps our queue under it. */
  readonly clientId: string
  readonly username?: string | undefined
  /** Asked at every connection, so that a rotated password is used. @throws when it cannot be read. */
  readonly password: () => string | undefined
  readonly keepAliveSeconds: number
  readonly connectTimeoutMs: number
  readonly sessionExpirySeconds: number
  /** Requests that may be unacknowledged at once. Above half of the Packet Identifiers only where order is strict. */
  readonly receiveMaximum: number
  readonly reconnect: ReconnectBounds
  readonly ackOrder: AckOrderKind
  /** With `bounded`: how long a delivery may hold back the PUBACKs of later ones, in milliseconds. */
  readonly ackHoldMaxMs: number
  /** Topic filters of the requests; `setFilters` replaces them. */
  readonly filters: readonly string[]
  /** Filters that every connector subscribes for itself, also where `filters` are shared. */
  readonly ownFilters?: readonly string[]
  /** Those of `ownFilters` whose retained messages are wanted. @default none */
  readonly retainedFilters?: readonly string[]
  /** Name of the shared subscription; left out where this is the only connector. */
  readonly share?: string | undefined
  /**
   * Asked to keep a request that must leave its Packet Identifier, because the broker will use it again. Undefined: it
   * cannot, and the session takes nothing more until the request is settled. Must not throw.
   * @default it never can
   */
  readonly keeper?: Keeper
  /**
   * How long after a lost connection its requests may still be redelivered, in milliseconds: their replies wait for it.
   * @default until the next connection, because without one no reply can be published
   */
  readonly redeliveryMaxMs?: number
  /** Bytes of the largest packet body that is kept whole; asked for every packet. */
  readonly frameBytesMax: () => number
  /** The Will for a connection that is born at this time (milliseconds since the epoch). @default no Will */
  readonly will?: (bornAtMs: number) => { readonly topic: string; readonly payload: string }
  /** @default Math.random */
  readonly random?: () => number
  /** How a byte stream to the broker is opened. @default TCP, TLS or WebSocket, as the URL says */
  readonly dial?: (target: DialTarget, signal: AbortSignal) => Promise<ByteStream>
  /**
   * Only for simulated brokers, which have few Packet Identifiers. @default MQTT's 65,535; a request leaves half-way
   */
  readonly identifiers?: Identifiers
}

/** Something that the operator must know while the session works on. */
export interface SessionWarning {
  readonly event:
    | 'ack_order_strict'
    | 'intake_held_back'
    | 'retain_unavailable'
    | 'session_expiry_lowered'
    | 'subscription_refused'
    | 'unsubscribe_refused'
  /** What happened, and what to do. */
  readonly message: string
}

/** Who is told about the life of the session. */
export interface SessionListener {
  delivered(delivery: ReceivedDelivery): void
  /** Connected and subscribed. `isLost` = the broker forgot a session that we had: queued requests are gone. */
  ready(news: {
    readonly limits: BrokerLimits
    readonly bornAtMs: number
    readonly isLost: boolean
    readonly filters: readonly string[]
  }): void
  /** The connection ended or could not be made; the next attempt is after `retryInMs`. */
  unavailable(news: { readonly error: Error; readonly retryInMs: number }): void
  warned?(warning: SessionWarning): void
}

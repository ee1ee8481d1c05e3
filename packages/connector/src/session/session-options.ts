// The options of a session, and the events that it reports.
import type { AckOrderKind, Keeper } from './ack-order.ts'
import type { BrokerLimits } from './broker-limits.ts'
import type { ReceivedDelivery } from './delivery.ts'
import type { ByteStream, DialTarget } from './dial.ts'
import type { Identifiers } from './packet-identifiers.ts'
import type { ReconnectBounds } from './reconnect-delay.ts'

/** The options of a session. */
export interface SessionOptions extends DialTarget {
  readonly protocolVersion: 4 | 5
  /** The client identifier. It must stay the same across restarts, because the broker stores the session under it. */
  readonly clientId: string
  readonly username?: string | undefined
  /** Called for every connection, so that a rotated password is picked up. @throws if the password cannot be read. */
  readonly password: () => string | undefined
  readonly keepAliveSeconds: number
  readonly connectTimeoutMs: number
  readonly sessionExpirySeconds: number
  /**
   * Number of requests that may be unacknowledged at the same time. Unless the order is `strict`, at most half of the
   * Packet Identifiers are used.
   */
  readonly receiveMaximum: number
  readonly reconnect: ReconnectBounds
  readonly ackOrder: AckOrderKind
  /** With `bounded`: how long a delivery may hold back the PUBACKs of later deliveries, in milliseconds. */
  readonly ackHoldMaxMs: number
  /** Topic filters of the requests; `setFilters` replaces them. */
  readonly filters: readonly string[]
  /**
   * Topic filters that every connector subscribes to with unshared subscriptions, even if `filters` are shared.
   */
  readonly ownFilters?: readonly string[]
  /** The subset of `ownFilters` for which the broker must send retained messages. @default none */
  readonly retainedFilters?: readonly string[]
  /** Name of the shared subscription; undefined if there is only one connector. */
  readonly share?: string | undefined
  /**
   * Stores a request that must give up its Packet Identifier because the broker is about to reuse it. If the keeper
   * returns undefined, the session sends no more PUBACKs until the request is settled. Must not throw.
   * @default stores nothing
   */
  readonly keeper?: Keeper
  /**
   * How long the requests of a lost connection may still be redelivered, in milliseconds; the replies to these
   * requests wait that long.
   * @default until the next connection, because no reply can be published before that
   */
  readonly redeliveryMaxMs?: number
  /** Size of the largest packet body that is kept whole, in bytes; called for every packet. */
  readonly frameBytesMax: () => number
  /** The Will for a connection with this birth time (milliseconds since the epoch). @default no Will */
  readonly will?: (bornAtMs: number) => { readonly topic: string; readonly payload: string }
  /** @default Math.random */
  readonly random?: () => number
  /** Opens a byte stream to the broker. @default TCP, TLS or WebSocket, depending on the URL */
  readonly dial?: (target: DialTarget, signal: AbortSignal) => Promise<ByteStream>
  /**
   * Set only for simulated brokers, which have few Packet Identifiers.
   * @default MQTT's 65,535; a request gives up its identifier when half of them have been assigned after it
   */
  readonly identifiers?: Identifiers
}

/** A problem that is reported to the operator while the session keeps running. */
export interface SessionWarning {
  readonly event:
    | 'ack_order_strict'
    | 'intake_held_back'
    | 'retain_unavailable'
    | 'session_expiry_lowered'
    | 'subscription_refused'
    | 'unsubscribe_refused'
  /** What happened, and what the operator can do. */
  readonly message: string
}

/** Receives the events of a session. */
export interface SessionListener {
  delivered(delivery: ReceivedDelivery): void
  /**
   * Called when the session is connected and subscribed. `isLost`: the broker discarded an earlier session,
   * including the queued requests.
   */
  ready(news: {
    readonly limits: BrokerLimits
    readonly bornAtMs: number
    readonly isLost: boolean
    readonly filters: readonly string[]
  }): void
  /** Called when the connection ended or could not be established; the next attempt follows after `retryInMs`. */
  unavailable(news: { readonly error: Error; readonly retryInMs: number }): void
  warned?(warning: SessionWarning): void
}

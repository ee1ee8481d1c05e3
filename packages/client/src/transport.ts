// The interface between the SDK and an MQTT library: one network connection at a time. See mqtt-connection.ts.
import type { MessageProperties, QoS } from '@inferwire/protocol'

/** An application message, sent or received. On MQTT 3.1.1 the properties are not sent. */
export interface Message {
  readonly topic: string
  readonly payload: Uint8Array
  readonly properties: MessageProperties
}

/** The broker's limits, from its CONNACK. */
export interface ConnectionLimits {
  /** Maximum number of unacknowledged QoS 1 messages (MQTT 5 §3.2.2.3.3). */
  readonly receiveMaximum: number
  /** Largest packet that the broker accepts, in bytes (MQTT 5 §3.2.2.3.6). */
  readonly packetBytesMax: number
}

/** The callbacks of a connection. */
export interface ConnectionEvents {
  onMessage(message: Message): void
  /** Called exactly once, after an established connection has ended; `reason` is the cause, if known. */
  onClose(reason: Error | undefined): void
}

/** One established network connection. It does not reconnect: after `onClose`, everything in flight on it is lost. */
export interface Connection {
  readonly limits: ConnectionLimits
  /** Whether the broker continued an earlier session of this client identifier. */
  readonly isSessionPresent: boolean
  /**
   * Publishes with QoS 1. `acknowledged` receives the reason code of the PUBACK (0 on MQTT 3.1.1); it is not called
   * if the connection ends first.
   */
  publish(message: Message, acknowledged: (reasonCode: number) => void): void
  /**
   * Resolves after the SUBACK.
   * @throws InferwireError if the broker refuses the subscription, or if the connection ends first
   */
  subscribe(filter: string, qos: QoS): Promise<void>
  unsubscribe(filter: string): Promise<void>
  /**
   * Sends DISCONNECT and closes the connection; `onClose` is not called.
   * @param endsSession whether the broker deletes the session, even if its expiry interval is not over
   */
  close(endsSession: boolean): Promise<void>
}

/** The parameters of a connection. */
export interface DialTarget {
  readonly url: URL
  readonly protocolVersion: 4 | 5
  readonly clientId: string
  readonly username: string | undefined
  readonly password: string | undefined
  /** Trusted certificates in PEM, for mqtts and wss. */
  readonly ca: string | Uint8Array | undefined
  readonly cert: string | Uint8Array | undefined
  readonly key: string | Uint8Array | undefined
  readonly rejectUnauthorized: boolean
  readonly connectTimeoutMs: number
  readonly keepAliveSeconds: number
  /** Time for which the broker keeps the session without a connection; 0 = not at all. MQTT 5 only. */
  readonly sessionExpirySeconds: number
  /** Whether the broker deletes an earlier session of the client identifier. */
  readonly isCleanStart: boolean
}

/**
 * Opens one connection. Aborting `signal` ends the attempt.
 * @throws InferwireError `broker_unreachable` or `not_authorized`
 */
export type Dial = (target: DialTarget, events: ConnectionEvents, signal: AbortSignal) => Promise<Connection>

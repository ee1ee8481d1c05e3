// What the SDK needs of MQTT: one network connection at a time. mqtt-connection.ts is the one that ships.
import type { MessageProperties, QoS } from '@inferwire/protocol'

/** An application message, going out or coming in. On MQTT 3.1.1 the properties are not sent. */
export interface Message {
  readonly topic: string
  readonly payload: Uint8Array
  readonly properties: MessageProperties
}

/** What the broker said in CONNACK. */
export interface ConnectionLimits {
  /** How many of our QoS 1 messages may wait for their PUBACK (MQTT 5 §3.2.2.3.3). */
  readonly receiveMaximum: number
  /** Largest packet that the broker takes, in bytes (MQTT 5 §3.2.2.3.6). */
  readonly packetBytesMax: number
}

/** What a connection tells. */
export interface ConnectionEvents {
  onMessage(message: Message): void
  /** Once, when an established connection has ended; `reason` is what ended it, where that is known. */
  onClose(reason: Error | undefined): void
}

/** One established network connection. It does not come back: after `onClose` everything on it is gone. */
export interface Connection {
  readonly limits: ConnectionLimits
  /**
   * Publishes with QoS 1. `acknowledged` gets the reason code of the PUBACK (0 on MQTT 3.1.1); it is not called
   * when the connection ends first.
   */
  publish(message: Message, acknowledged: (reasonCode: number) => void): void
  /** Resolves with the SUBACK. @throws InferwireError when the broker refuses, or the connection ends first */
  subscribe(filter: string, qos: QoS): Promise<void>
  unsubscribe(filter: string): Promise<void>
  /** Says goodbye and ends it; `onClose` is not called. */
  close(): Promise<void>
}

/** Where and how to connect. */
export interface DialTarget {
  readonly url: URL
  readonly protocolVersion: 4 | 5
  readonly clientId: string
  readonly username: string | undefined
  readonly password: string | undefined
  /** PEM, for mqtts and wss. */
  readonly ca: string | Uint8Array | undefined
  readonly cert: string | Uint8Array | undefined
  readonly key: string | Uint8Array | undefined
  readonly rejectUnauthorized: boolean
  readonly connectTimeoutMs: number
  readonly keepAliveSeconds: number
}

/**
 * Opens one connection. An abort ends the attempt.
 * @throws InferwireError `broker_unreachable` or `not_authorized`
 */
export type Dial = (target: DialTarget, events: ConnectionEvents, signal: AbortSignal) => Promise<Connection>

// An Application Message, and its delivery to one session.
import type { QoS } from 'mqtt-packet'

/** An Application Message. */
export interface Message {
  readonly topic: string
  readonly payload: Buffer
  readonly qos: QoS
  readonly retain: boolean
  /** Encoded properties that are forwarded unaltered to every subscriber (MQTT 5 §3.3.2.3). */
  readonly properties: Buffer
  /** Size in bytes, for the limits of queues and retained messages. */
  readonly bytes: number
  /** Expiry time in milliseconds since 1970; undefined = never. */
  readonly expiresAtMs: number | undefined
  /** Client identifier of the publisher, for No Local. */
  readonly from: string
}

/** A message for one session. */
export interface Delivery {
  readonly message: Message
  readonly qos: QoS
  readonly retain: boolean
  readonly subscriptionIdentifiers: readonly number[]
  /** Topic filter of the shared subscription; undefined for other subscriptions. */
  readonly share?: string | undefined
}

/** Returns whether the message has expired and must not be delivered (MQTT 5 [MQTT-3.3.2-5]). */
export function isExpired({ expiresAtMs }: Message): boolean {
  return expiresAtMs !== undefined && expiresAtMs <= Date.now()
}

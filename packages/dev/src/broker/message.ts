// What the broker carries: an Application Message, and one delivery of it to one session.
import type { QoS } from 'mqtt-packet'

/** An Application Message. */
export interface Message {
  readonly topic: string
  readonly payload: Buffer
  readonly qos: QoS
  readonly retain: boolean
  /** Properties that go from the publisher to every subscriber unaltered (MQTT 5 §3.3.2.3), encoded. */
  readonly properties: Buffer
  /** Its size, for the limits of queues and retained messages. */
  readonly bytes: number
  /** Milliseconds since 1970; undefined = never. */
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
  /** Topic filter of the shared subscription, where it was one. */
  readonly share?: string | undefined
}

/** Whether it must no longer be delivered (MQTT 5 [MQTT-3.3.2-5]). */
export function isExpired({ expiresAtMs }: Message): boolean {
  return expiresAtMs !== undefined && expiresAtMs <= Date.now()
}

// What the broker carries: an Application Message, and one delivery of it to one session.
import { generate, type IConnectPacket, type QoS } from 'mqtt-packet'
import { decodePublish, type Publication } from './publish-codec.ts'

/** A Will Message, as CONNECT has it. */
export type Will = NonNullable<IConnectPacket['will']>

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

/** The message that client `from` publishes now. */
export function messageOf(publication: Publication, from: string): Message {
  const { topic, payload, qos, retain, properties, messageExpiryInterval } = publication
  return {
    topic,
    payload,
    qos,
    retain,
    properties,
    bytes: payload.length + properties.length + topic.length,
    expiresAtMs: messageExpiryInterval === undefined ? undefined : Date.now() + messageExpiryInterval * 1_000,
    from,
  }
}

/** The message of a Will that is published now. Will Delay Interval is no property of PUBLISH (MQTT 5 table 2-4). */
export function messageOfWill(will: Will, from: string): Message {
  const { willDelayInterval: _delay, ...properties } = will.properties ?? {}
  const packet = generate(
    {
      cmd: 'publish',
      topic: will.topic,
      payload: will.payload,
      qos: will.qos ?? 0,
      retain: will.retain === true,
      dup: false,
      messageId: 1,
      properties,
    },
    { protocolVersion: 5 },
  )
  return messageOf(decodePublish(packet, 5), from)
}

/** Whether it must no longer be delivered (MQTT 5 [MQTT-3.3.2-5]). */
export function isExpired({ expiresAtMs }: Message): boolean {
  return expiresAtMs !== undefined && expiresAtMs <= Date.now()
}

// What the broker carries: an Application Message, and one delivery of it to one session.
import type { IPublishPacket, QoS } from 'mqtt-packet'

/** Properties that go from the publisher to every subscriber unaltered (MQTT 5 §3.3.2.3). */
export type MessageProperties = Pick<
  NonNullable<IPublishPacket['properties']>,
  'payloadFormatIndicator' | 'contentType' | 'responseTopic' | 'correlationData' | 'userProperties'
>

/** An Application Message. */
export interface Message {
  readonly topic: string
  readonly payload: Buffer
  readonly qos: QoS
  readonly retain: boolean
  readonly properties: MessageProperties
  /** What it counts for in the limits of a queue. */
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

type ReceivedProperties = NonNullable<IPublishPacket['properties']> & { willDelayInterval?: number }

/** The message in a PUBLISH or Will that `from` sent now. */
export function messageOf(
  packet: {
    readonly topic: string
    readonly payload: Buffer | string
    readonly qos?: QoS
    readonly retain?: boolean
    readonly properties?: ReceivedProperties
    readonly length?: number
  },
  from: string,
): Message {
  // Every property that is not the message's own stays here: Will Delay Interval does not belong into a PUBLISH
  // (MQTT 5 table 2-4), Topic Alias and Subscription Identifier are of one connection.
  const {
    messageExpiryInterval,
    willDelayInterval: _delay,
    topicAlias: _alias,
    subscriptionIdentifier: _identifier,
    ...properties
  } = packet.properties ?? {}
  const payload = Buffer.isBuffer(packet.payload) ? packet.payload : Buffer.from(packet.payload)
  return {
    topic: packet.topic,
    payload,
    bytes: packet.length ?? payload.length,
    qos: packet.qos ?? 0,
    retain: packet.retain === true,
    properties,
    expiresAtMs: messageExpiryInterval === undefined ? undefined : Date.now() + messageExpiryInterval * 1_000,
    from,
  }
}

/** Whether it may not be delivered any more (MQTT 5 [MQTT-3.3.2-5]). */
export function isExpired({ expiresAtMs }: Message): boolean {
  return expiresAtMs !== undefined && expiresAtMs <= Date.now()
}

/** The PUBLISH packet. The Message Expiry Interval is what is left of it (MQTT 5 [MQTT-3.3.2-6]). */
export function publishPacket(delivery: Delivery, messageId?: number, dup = false): IPublishPacket {
  const { message, qos, retain, subscriptionIdentifiers } = delivery
  const { topic, payload, expiresAtMs } = message
  return {
    cmd: 'publish',
    topic,
    payload,
    qos,
    retain,
    dup,
    ...(messageId !== undefined && { messageId }),
    properties: {
      ...message.properties,
      ...(expiresAtMs !== undefined && {
        messageExpiryInterval: Math.max(0, Math.ceil((expiresAtMs - Date.now()) / 1_000)),
      }),
      ...(subscriptionIdentifiers.length > 0 && { subscriptionIdentifier: [...subscriptionIdentifiers] }),
    },
  }
}

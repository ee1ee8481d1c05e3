// Makes the Application Message of what a client publishes, now or as its Will.
import { generate, type IConnectPacket } from 'mqtt-packet'
import type { Message } from './message.ts'
import { decodePublish, type Publication } from './publish-codec.ts'

/** A Will Message, as CONNECT has it. */
export type Will = NonNullable<IConnectPacket['will']>

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

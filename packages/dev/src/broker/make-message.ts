// Creates the Application Message of a PUBLISH or of a Will.
import { generate, type IConnectPacket } from 'mqtt-packet'
import type { Message } from './message.ts'
import { decodePublish, type Publication } from './publish-codec.ts'

/** A Will Message in CONNECT. */
export type Will = NonNullable<IConnectPacket['will']>

/** Creates the message of a PUBLISH from client `from`; its expiry starts now. */
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

/**
 * Creates the message of a Will. Omits the Will Delay Interval, which is not a property of PUBLISH (MQTT 5 table
 * 2-4).
 */
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

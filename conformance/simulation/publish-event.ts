// Converts the connector's publishes to events of the history.
import { hash } from 'node:crypto'
import { userProperty } from '@inferwire/protocol'
import type { IPublishPacket } from 'mqtt-packet'
import { toPartMark, type PartMark } from '../checkers/part-order.ts'

/** Returns the event of a publish, without its connection. */
export function describePublish(packet: IPublishPacket) {
  const { topic, payload, properties } = packet
  const user = Object.entries(properties?.userProperties ?? {}).flatMap(([name, value]) => [
    name,
    String(value),
  ])
  const body = payload.toString()
  const mark = partMarkOf(packet)
  const [, bodyKey, call, part] = /"answer":"(\w+)","call":(\d+)(?:,"part":(\d+))?/.exec(body) ?? []
  return {
    packetId: packet.messageId ?? 0,
    dup: packet.dup,
    qos: packet.qos,
    retain: packet.retain,
    topic,
    correlation: properties?.correlationData?.toString(),
    status: userProperty(user, 'status'),
    code: /"code":"(\w+)"/.exec(body)?.[1],
    bodyKey,
    bodyCall: call === undefined ? undefined : Number(call),
    bodyPart: part === undefined ? undefined : Number(part),
    mark,
    content: mark?.isFinal === true ? hash('sha1', body) : undefined,
  }
}

/** Returns a message's position in a multi-part answer; undefined for a single message, and always for MQTT 3.1.1. */
export function partMarkOf({ properties }: IPublishPacket): PartMark | undefined {
  const { seq, final, status } = properties?.userProperties ?? {}
  return toPartMark(seq?.toString(), final?.toString(), status?.toString())
}

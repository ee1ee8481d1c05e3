// A publish of the connector as the history records it.
import { hash } from 'node:crypto'
import { userProperty } from '@inferwire/protocol'
import type { IPublishPacket } from 'mqtt-packet'
import { toPartMark, type PartMark } from '../checkers/part-order.ts'

/** What the verdict needs of it; without its connection. */
export function describePublish(packet: IPublishPacket) {
  const { topic, payload, properties } = packet
  const user = Object.entries(properties?.userProperties ?? {}).flatMap(([name, value]) => [
    name,
    String(value),
  ])
  const body = payload.toString()
  const mark = partMarkOf(packet)
  return {
    packetId: packet.messageId ?? 0,
    dup: packet.dup,
    qos: packet.qos,
    retain: packet.retain,
    topic,
    correlation: properties?.correlationData?.toString(),
    status: userProperty(user, 'status'),
    code: /"code":"(\w+)"/.exec(body)?.[1],
    bodyKey: /"answer":"(\w+)"/.exec(body)?.[1],
    mark,
    content: mark?.isFinal === true ? hash('sha1', body) : undefined,
  }
}

/** Its part of an answer; undefined where that is one message, and for all of MQTT 3.1.1, which has no properties. */
export function partMarkOf({ properties }: IPublishPacket): PartMark | undefined {
  const { seq, final, status } = properties?.userProperties ?? {}
  return toPartMark(seq?.toString(), final?.toString(), status?.toString())
}

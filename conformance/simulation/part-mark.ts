// Which part of an answer a publish of the connector is, by its user properties.
import type { IPublishPacket } from 'mqtt-packet'
import { toPartMark, type PartMark } from '../checkers/part-order.ts'

/** Undefined for an answer that is one message, and for all of MQTT 3.1.1, which has no properties. */
export function partMarkOf({ properties }: IPublishPacket): PartMark | undefined {
  const { seq, final, status } = properties?.userProperties ?? {}
  return toPartMark(seq?.toString(), final?.toString(), status?.toString())
}

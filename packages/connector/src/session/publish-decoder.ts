// Decodes a PUBLISH packet (MQTT 5 §3.3, MQTT 3.1.1 §3.3) strictly: any deviation makes the whole packet malformed.
import type { MessageProperties, QoS } from '@inferwire/protocol'
import type { Delivery } from '../step.ts'
import { bodyBlocks } from './body-blocks.ts'
import { readText, readVariableByteInteger, sizeOfVariableByteInteger, stringEnd } from './field-reader.ts'
import type { Frame } from './frame-reader.ts'
import { MalformedPacket, shown } from './malformed.ts'

/**
 * A PUBLISH as the broker sent it. `isWhole` is false if the packet was larger than the reader's limit: its payload was
 * discarded, and its properties may be missing too. The Packet Identifier is 0 for QoS 0.
 */
export type ReceivedPublish = Pick<
  Delivery,
  | 'topic'
  | 'payload'
  | 'payloadBytes'
  | 'propertyBytes'
  | 'isWhole'
  | 'qos'
  | 'retain'
  | 'dup'
  | 'packetId'
  | 'properties'
>

/** An empty payload. */
export const NO_PAYLOAD = Buffer.alloc(0)
/** Empty properties, shared by all messages without properties, because received properties are never modified. */
export const NO_PROPERTIES: MessageProperties = Object.freeze({})

/** Decodes a PUBLISH packet. @throws MalformedPacket that cites the violated clause. */
export function decodePublish(frame: Frame, protocolVersion: 4 | 5): ReceivedPublish {
  const { head, body } = frame
  const qos = (head >> 1) & 3
  if (qos === 3) throw new MalformedPacket('The broker sent PUBLISH with QoS 3 (MQTT 5 §3.3.1.2)')
  const isWhole = body.length === frame.bodyBytes
  const topicEnd = stringEnd(body, 0)
  const topic = readText(body, 0, topicEnd)
  if (topic.length === 0)
    throw new MalformedPacket(
      'The broker sent PUBLISH without a topic name; the connector allows no topic aliases',
    )
  let offset = topicEnd
  let packetId = 0
  if (qos > 0) {
    if (offset + 2 > body.length) throw new MalformedPacket('PUBLISH ends before its Packet Identifier')
    packetId = body.readUInt16BE(offset)
    if (packetId === 0)
      throw new MalformedPacket('The broker sent PUBLISH with Packet Identifier 0 (MQTT 5 §2.2.1)')
    offset += 2
  }
  let properties = NO_PROPERTIES
  let propertyBytes = 0
  if (protocolVersion === 5) {
    const length = readVariableByteInteger(body, offset)
    const start = offset + sizeOfVariableByteInteger(length)
    offset = start + length
    propertyBytes = length
    if (offset > frame.bodyBytes)
      throw new MalformedPacket('PUBLISH properties extend past the end of the packet')
    // The properties of a truncated packet may be missing. This does no harm, because the request is rejected as
    // too large.
    if (length > 0 && offset <= body.length) properties = propertiesOf(topic, body, start, offset)
  }
  // Nothing refers to the bytes of a truncated packet any more: texts and Correlation Data are copies.
  if (!isWhole && frame.isOwned) bodyBlocks.give(body)
  return {
    topic,
    payload: isWhole ? payloadOf(frame, offset) : NO_PAYLOAD,
    payloadBytes: frame.bodyBytes - offset,
    propertyBytes,
    isWhole,
    qos: qos as QoS,
    retain: (head & 1) === 1,
    dup: (head & 8) === 8,
    packetId,
    properties,
  }
}

// The receive buffer is reused for the next bytes, so a payload that is a view must be copied.
function payloadOf(frame: Frame, offset: number): Buffer {
  const view = frame.body.subarray(offset)
  return frame.isOwned ? view : bodyBlocks.copy(view)
}

// Adds the topic to the message of an error, because the topic identifies the client that the operator should
// examine first.
function propertiesOf(topic: string, body: Buffer, start: number, end: number): MessageProperties {
  try {
    return readProperties(body, start, end)
  } catch (error) {
    if (!(error instanceof MalformedPacket)) throw error
    throw new MalformedPacket(`PUBLISH to "${shown(topic)}": ${error.message}`)
  }
}

// MQTT 5 §3.3.2.3: the properties that a PUBLISH may have.
function readProperties(body: Buffer, start: number, end: number): MessageProperties {
  const properties: MessageProperties = {}
  let seen = 0
  let offset = start
  while (offset < end) {
    const id = body[offset++]!
    if (id !== 0x26 && id !== 0x0b) {
      if ((seen & (1 << (id & 31))) !== 0)
        throw new MalformedPacket(`The property 0x${id.toString(16)} appears twice`)
      seen |= 1 << (id & 31)
    }
    switch (id) {
      case 0x01:
        properties.payloadFormatIndicator = byteAt(body, offset, end)
        offset += 1
        break
      case 0x02:
        if (offset + 4 > end)
          throw new MalformedPacket('Message Expiry Interval extends past the Property Length')
        properties.messageExpiryInterval = body.readUInt32BE(offset)
        offset += 4
        break
      case 0x03: {
        const to = stringEnd(body, offset, end)
        properties.contentType = readText(body, offset, to)
        offset = to
        break
      }
      case 0x08: {
        const to = stringEnd(body, offset, end)
        properties.responseTopic = readText(body, offset, to)
        offset = to
        break
      }
      case 0x09: {
        const to = stringEnd(body, offset, end)
        // Correlation Data is copied, because it outlives the receive buffer, and a view would keep the whole buffer
        // in memory.
        properties.correlationData = Buffer.from(body.subarray(offset + 2, to))
        offset = to
        break
      }
      case 0x0b: {
        const identifier = readVariableByteInteger(body, offset, end)
        if (identifier === 0)
          throw new MalformedPacket('Subscription Identifier 0 is not allowed (§3.3.2.3.8)')
        offset += sizeOfVariableByteInteger(identifier)
        break
      }
      case 0x23:
        throw new MalformedPacket(
          'The packet has a Topic Alias, although the connector allows none (MQTT 5 §3.3.2.3.4)',
        )
      case 0x26: {
        const nameEnd = stringEnd(body, offset, end)
        const valueEnd = stringEnd(body, nameEnd, end)
        const list = (properties.userProperties ??= [])
        list.push(readText(body, offset, nameEnd), readText(body, nameEnd, valueEnd))
        offset = valueEnd
        break
      }
      default:
        throw new MalformedPacket(
          `The property 0x${id.toString(16)} is not allowed in PUBLISH (MQTT 5 table 2-4)`,
        )
    }
  }
  return properties
}

function byteAt(body: Buffer, offset: number, end: number): number {
  if (offset >= end) throw new MalformedPacket('A PUBLISH property extends past the Property Length')
  return body[offset]!
}

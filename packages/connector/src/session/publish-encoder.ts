// Encodes a PUBLISH packet (MQTT 5 §3.3) directly into the packet writer's memory.
import type { MessageProperties } from '@inferwire/protocol'
import { sizeOfVariableByteInteger } from './field-reader.ts'
import type { PacketWriter } from './packet-writer.ts'

/** A message that the connector publishes. */
export interface OutgoingMessage {
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: 0 | 1
  readonly retain: boolean
  readonly properties: MessageProperties
}

// Payloads up to this size are copied next to their header; larger ones are written without a copy.
const COPIED_PAYLOAD_BYTES_MAX = 2048

/**
 * Returns the size of the whole packet in bytes, for comparison with the broker's Maximum Packet Size (§3.1.2.11.4).
 */
export function publishPacketBytes(message: OutgoingMessage, protocolVersion: 4 | 5): number {
  const remaining = remainingLength(message, protocolVersion, propertiesBytes(message.properties))
  return 1 + sizeOfVariableByteInteger(remaining) + remaining
}

/** The DUP flag of a resent PUBLISH (MQTT 5 §3.3.1.1). */
export const DUP = 0x08

/** Encodes one PUBLISH packet. `packetId` is ignored with QoS 0. */
export function encodePublish(
  writer: PacketWriter,
  message: OutgoingMessage,
  packetId: number,
  dup: 0 | typeof DUP,
  protocolVersion: 4 | 5,
): void {
  const { topic, payload, properties } = message
  const propertyBytes = protocolVersion === 5 ? propertiesBytes(properties) : 0
  const remaining = remainingLength(message, protocolVersion, propertyBytes)
  const copied = payload.length <= COPIED_PAYLOAD_BYTES_MAX
  const size = 1 + sizeOfVariableByteInteger(remaining) + remaining - (copied ? 0 : payload.length)
  const at = writer.reserve(size)
  const out = writer.memory
  out[at] = 0x30 | dup | (message.qos << 1) | (message.retain ? 1 : 0)
  let offset = writeVariableByteInteger(out, at + 1, remaining)
  offset = writeString(out, offset, topic)
  if (message.qos > 0) {
    out[offset++] = packetId >> 8
    out[offset++] = packetId & 0xff
  }
  if (protocolVersion === 5) {
    offset = writeVariableByteInteger(out, offset, propertyBytes)
    offset = writeProperties(out, offset, properties)
  }
  if (copied) out.set(payload, offset)
  else writer.append(payload)
}

function remainingLength(message: OutgoingMessage, protocolVersion: 4 | 5, propertyBytes: number): number {
  return (
    2 +
    Buffer.byteLength(message.topic) +
    (message.qos > 0 ? 2 : 0) +
    (protocolVersion === 5 ? sizeOfVariableByteInteger(propertyBytes) + propertyBytes : 0) +
    message.payload.length
  )
}

function propertiesBytes(properties: MessageProperties): number {
  let bytes = 0
  if (properties.payloadFormatIndicator !== undefined) bytes += 2
  if (properties.messageExpiryInterval !== undefined) bytes += 5
  if (properties.contentType !== undefined) bytes += 3 + Buffer.byteLength(properties.contentType)
  if (properties.responseTopic !== undefined) bytes += 3 + Buffer.byteLength(properties.responseTopic)
  if (properties.correlationData !== undefined) bytes += 3 + properties.correlationData.length
  const user = properties.userProperties
  if (user !== undefined) {
    for (let index = 0; index < user.length; index += 2) {
      bytes += 5 + Buffer.byteLength(user[index]!) + Buffer.byteLength(user[index + 1]!)
    }
  }
  return bytes
}

function writeProperties(out: Buffer, start: number, properties: MessageProperties): number {
  let offset = start
  if (properties.payloadFormatIndicator !== undefined) {
    out[offset++] = 0x01
    out[offset++] = properties.payloadFormatIndicator
  }
  if (properties.messageExpiryInterval !== undefined) {
    out[offset++] = 0x02
    offset = out.writeUInt32BE(properties.messageExpiryInterval, offset)
  }
  if (properties.contentType !== undefined) {
    out[offset++] = 0x03
    offset = writeString(out, offset, properties.contentType)
  }
  if (properties.responseTopic !== undefined) {
    out[offset++] = 0x08
    offset = writeString(out, offset, properties.responseTopic)
  }
  const correlation = properties.correlationData
  if (correlation !== undefined) {
    out[offset++] = 0x09
    out[offset++] = correlation.length >> 8
    out[offset++] = correlation.length & 0xff
    out.set(correlation, offset)
    offset += correlation.length
  }
  const user = properties.userProperties
  if (user !== undefined) {
    for (let index = 0; index < user.length; index += 2) {
      out[offset++] = 0x26
      offset = writeString(out, offset, user[index]!)
      offset = writeString(out, offset, user[index + 1]!)
    }
  }
  return offset
}

function writeString(out: Buffer, offset: number, text: string): number {
  const bytes = out.write(text, offset + 2)
  out[offset] = bytes >> 8
  out[offset + 1] = bytes & 0xff
  return offset + 2 + bytes
}

function writeVariableByteInteger(out: Buffer, start: number, value: number): number {
  let offset = start
  let rest = value
  while (rest > 0x7f) {
    out[offset++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  out[offset++] = rest
  return offset
}

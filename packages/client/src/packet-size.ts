// Computes the size of a PUBLISH packet, so that an oversized request fails before the broker closes the connection.
import type { Message } from './transport.ts'

const encoder = new TextEncoder()

/** Returns the size in bytes of the QoS 1 PUBLISH packet with its fixed header (MQTT 5 §3.3, MQTT 3.1.1 §3.3). */
export function publishPacketBytes(message: Message, protocolVersion: 4 | 5): number {
  const properties = protocolVersion === 5 ? propertiesBytes(message) : undefined
  const propertiesPart = properties === undefined ? 0 : variableByteIntegerBytes(properties) + properties
  const remaining = 2 + utf8Bytes(message.topic) + 2 + propertiesPart + message.payload.length
  return 1 + variableByteIntegerBytes(remaining) + remaining
}

function propertiesBytes({ properties }: Message): number {
  const { payloadFormatIndicator, messageExpiryInterval, contentType, responseTopic } = properties
  const { correlationData, userProperties = [] } = properties
  let bytes = 0
  if (payloadFormatIndicator !== undefined) bytes += 2
  if (messageExpiryInterval !== undefined) bytes += 5
  if (contentType !== undefined) bytes += 3 + utf8Bytes(contentType)
  if (responseTopic !== undefined) bytes += 3 + utf8Bytes(responseTopic)
  if (correlationData !== undefined) bytes += 3 + correlationData.length
  for (let index = 0; index + 1 < userProperties.length; index += 2) {
    bytes += 5 + utf8Bytes(userProperties[index]!) + utf8Bytes(userProperties[index + 1]!)
  }
  return bytes
}

function variableByteIntegerBytes(value: number): number {
  return value < 128 ? 1 : value < 16_384 ? 2 : value < 2_097_152 ? 3 : 4
}

function utf8Bytes(text: string): number {
  return encoder.encode(text).length
}

// Decodes and encodes PUBLISH. mqtt-packet stores user properties in an object, which loses their order (MQTT 5
// [MQTT-3.3.2-18]). This codec therefore leaves the properties that the broker only forwards encoded.
import type { QoS } from 'mqtt-packet'
import type { ClientVersion } from './check-packet.ts'
import { Fields, headerSize } from './fields.ts'
import type { Delivery } from './message.ts'

/** The content of a PUBLISH. It shares no memory with the packet that it was decoded from. */
export interface Publication {
  readonly topic: string
  readonly qos: QoS
  readonly retain: boolean
  /** 0 for QoS 0. */
  readonly messageId: number
  readonly payload: Buffer
  /** Encoded MQTT 5 properties, except the Message Expiry Interval and the Topic Alias. */
  readonly properties: Buffer
  /** Message Expiry Interval in seconds. */
  readonly messageExpiryInterval: number | undefined
}

/** The fields of a PUBLISH that differ between receivers. */
export interface PublishTarget {
  readonly version: ClientVersion
  /** 0 for QoS 0. */
  readonly messageId: number
  readonly isRepeated: boolean
}

const NONE = Buffer.alloc(0)
const COPIED_BYTES_MAX = 16 * 1024

/** Decodes a whole PUBLISH packet that has passed the packet checks. */
export function decodePublish(packet: Buffer, version: ClientVersion): Publication {
  const flags = packet.readUInt8()
  const qos = toQos((flags >> 1) & 3)
  const fields = new Fields(packet, headerSize(packet))
  const topic = fields.text()
  const messageId = qos === 0 ? 0 : fields.read('two')
  const { carried = [], messageExpiryInterval } = version === 5 ? fields.properties('publish') : {}
  return {
    topic,
    qos,
    retain: (flags & 1) !== 0,
    messageId,
    payload: Buffer.from(fields.rest()),
    properties: carried.length === 0 ? NONE : Buffer.concat(carried),
    messageExpiryInterval,
  }
}

/** Narrows a number that has passed the packet checks to a QoS. */
export function toQos(qos: number): QoS {
  return qos === 0 || qos === 1 ? qos : 2
}

/**
 * Encodes a PUBLISH for the receiver's version. A large payload is a separate chunk that all subscribers share.
 */
export function encodePublish(
  delivery: Delivery,
  { version, messageId, isRepeated }: PublishTarget,
): Buffer[] {
  const { message, qos, retain } = delivery
  const topic = Buffer.from(message.topic)
  const properties = version === 5 ? propertiesOf(delivery) : NONE
  const identifier = qos === 0 ? NONE : twoBytes(messageId)
  const { payload } = message
  const fields = [twoBytes(topic.length), topic, identifier, properties]
  const length = fields.reduce((sum, { length: bytes }) => sum + bytes, payload.length)
  const flags = (isRepeated ? 8 : 0) | (qos << 1) | (retain ? 1 : 0)
  const header = [Buffer.from([0x30 | flags]), variable(length), ...fields]
  if (payload.length > COPIED_BYTES_MAX) return [Buffer.concat(header), payload]
  return [Buffer.concat([...header, payload])]
}

function propertiesOf({ message, subscriptionIdentifiers }: Delivery): Buffer {
  const { expiresAtMs, properties } = message
  const parts = [properties]
  if (expiresAtMs !== undefined) {
    // MQTT 5 [MQTT-3.3.2-6]: the subscriber receives the remaining time.
    const expiry = Buffer.from([0x02, 0, 0, 0, 0])
    expiry.writeUInt32BE(Math.max(0, Math.ceil((expiresAtMs - Date.now()) / 1_000)), 1)
    parts.unshift(expiry)
  }
  for (const identifier of subscriptionIdentifiers) parts.push(Buffer.from([0x0b]), variable(identifier))
  const length = parts.reduce((sum, { length: bytes }) => sum + bytes, 0)
  return Buffer.concat([variable(length), ...parts])
}

function twoBytes(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff])
}

// MQTT 5 §1.5.5.
function variable(value: number): Buffer {
  const bytes: number[] = []
  let left = value
  do {
    const isLast = left < 0x80
    bytes.push((left & 0x7f) | (isLast ? 0 : 0x80))
    left >>= 7
  } while (left > 0)
  return Buffer.from(bytes)
}

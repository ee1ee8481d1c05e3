// Reads and writes the few types of MQTT 5 packets that the load generator and the tap handle in large numbers.
// Does not use the connector's codec, so that a checker cannot share a fault with the checked code.
import { toPartMark, type PartMark } from '../checkers/part-order.ts'

/** Called for each complete packet with the first byte of the packet, and the start and end of its body in `bytes`. */
export type OnPacket = (head: number, bytes: Buffer, start: number, end: number) => void

const NOTHING = Buffer.alloc(0)

/** Splits a byte stream into packets. Never reports a packet that was truncated because its connection ended. */
export class PacketScanner {
  readonly #onPacket: OnPacket
  #rest: Buffer = NOTHING
  // Chunks of an incomplete packet, which are concatenated when the packet is complete.
  #pieces: Buffer[] = []
  #missing = 0

  constructor(onPacket: OnPacket) {
    this.#onPacket = onPacket
  }

  /** Whether the bytes so far end inside a packet. */
  get isInside(): boolean {
    return this.#missing > 0 || this.#rest.length > 0
  }

  /** Reads a chunk. @throws if a Remaining Length has more than four bytes */
  push(chunk: Buffer): void {
    if (this.#missing > chunk.length) {
      this.#pieces.push(chunk)
      this.#missing -= chunk.length
      return
    }
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, ...this.#pieces, chunk])
    this.#rest = NOTHING
    this.#pieces = []
    this.#missing = 0
    let offset = 0
    while (offset < bytes.length) {
      let length = 0
      let start = offset + 1
      for (let shift = 0; ; shift += 7) {
        if (shift === 28) throw new Error('A Remaining Length has more than four bytes.')
        if (start >= bytes.length) return void (this.#rest = bytes.subarray(offset))
        const byte = bytes[start++]!
        length |= (byte & 0x7f) << shift
        if (byte < 0x80) break
      }
      const end = start + length
      if (end > bytes.length) {
        this.#rest = bytes.subarray(offset)
        this.#missing = end - bytes.length
        return
      }
      this.#onPacket(bytes[offset]!, bytes, start, end)
      offset = end
    }
  }
}

/** The fields of a PUBLISH that the load generator and the tap use. */
export interface PublishView {
  readonly topic: string
  readonly qos: number
  readonly isDup: boolean
  readonly packetId: number
  /** Correlation Data in hexadecimal; '' = none. */
  readonly correlation: string
  /** Response Topic; '' = none. */
  readonly responseTopic: string
  /** Message Expiry Interval in seconds; Infinity = none. */
  readonly expirySeconds: number
  /** Offset of the payload. */
  readonly payloadStart: number
  /** Offsets of the properties. */
  readonly propertiesStart: number
  readonly propertiesEnd: number
}

/** Reads the fields of a `PublishView` (MQTT 5 §3.3). */
export function viewPublish(head: number, bytes: Buffer, start: number): PublishView {
  const qos = (head >> 1) & 3
  const topicEnd = start + 2 + bytes.readUInt16BE(start)
  const topic = bytes.toString('utf8', start + 2, topicEnd)
  let offset = topicEnd
  let packetId = 0
  if (qos > 0) {
    packetId = bytes.readUInt16BE(offset)
    offset += 2
  }
  let length = 0
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[offset++]!
    length |= (byte & 0x7f) << shift
    if (byte < 0x80) break
  }
  const propertiesStart = offset
  const end = offset + length
  let correlation = ''
  let responseTopic = ''
  let expirySeconds = Number.POSITIVE_INFINITY
  while (offset < end) {
    const id = bytes[offset]!
    if (id === 0x09) {
      correlation = bytes.toString('hex', offset + 3, offset + 3 + bytes.readUInt16BE(offset + 1))
    } else if (id === 0x08) {
      responseTopic = bytes.toString('utf8', offset + 3, offset + 3 + bytes.readUInt16BE(offset + 1))
    } else if (id === 0x02) expirySeconds = bytes.readUInt32BE(offset + 1)
    offset = afterProperty(bytes, offset)
  }
  return {
    topic,
    qos,
    isDup: (head & 8) !== 0,
    packetId,
    correlation,
    responseTopic,
    expirySeconds,
    payloadStart: end,
    propertiesStart,
    propertiesEnd: end,
  }
}

/** Returns the value of the last user property with that name; undefined if there is none. */
export function userPropertyOf(bytes: Buffer, view: PublishView, name: string): string | undefined {
  let value: string | undefined
  for (let offset = view.propertiesStart; offset < view.propertiesEnd;) {
    const next = afterProperty(bytes, offset)
    if (bytes[offset] === 0x26) {
      const nameEnd = offset + 3 + bytes.readUInt16BE(offset + 1)
      if (bytes.toString('utf8', offset + 3, nameEnd) === name) {
        value = bytes.toString('utf8', nameEnd + 2, next)
      }
    }
    offset = next
  }
  return value
}

/** Returns a message's position in a multi-part answer; undefined for a single-message answer. */
export function partMarkOf(bytes: Buffer, view: PublishView): PartMark | undefined {
  const valueOf = (name: string): string | undefined => userPropertyOf(bytes, view, name)
  return toPartMark(valueOf('seq'), valueOf('final'), valueOf('status'))
}

// Returns the offset after the property at `offset`. Handles the properties of PUBLISH (MQTT 5 §2.2.2.2).
function afterProperty(bytes: Buffer, offset: number): number {
  switch (bytes[offset]) {
    case 0x01:
      return offset + 2
    case 0x02:
      return offset + 5
    case 0x23:
      return offset + 3
    case 0x03:
    case 0x08:
    case 0x09:
      return offset + 3 + bytes.readUInt16BE(offset + 1)
    case 0x0b: {
      let end = offset + 1
      while (bytes[end]! >= 0x80) end += 1
      return end + 1
    }
    case 0x26: {
      const valueAt = offset + 3 + bytes.readUInt16BE(offset + 1)
      return valueAt + 2 + bytes.readUInt16BE(valueAt)
    }
    default:
      throw new Error(`A PUBLISH has the invalid property 0x${bytes[offset]!.toString(16)}.`)
  }
}

/** The fields of a request. */
export interface PublishParts {
  readonly topic: string
  readonly packetId: number
  readonly correlation: Buffer
  readonly expirySeconds: number
  readonly userProperties: readonly string[]
  readonly payload: string
}

/** Encodes a QoS 1 PUBLISH with Content Type application/json. */
export function encodePublish(parts: PublishParts): Buffer {
  const { topic, correlation, userProperties, payload } = parts
  let propertyBytes = 5 + 3 + JSON_TYPE.length + 3 + correlation.length
  for (const text of userProperties) propertyBytes += 2 + Buffer.byteLength(text)
  propertyBytes += userProperties.length / 2
  const remaining =
    2 +
    Buffer.byteLength(topic) +
    2 +
    sizeOfLength(propertyBytes) +
    propertyBytes +
    Buffer.byteLength(payload)
  const out = Buffer.allocUnsafe(1 + sizeOfLength(remaining) + remaining)
  out[0] = 0x32
  let offset = writeLength(out, 1, remaining)
  offset = writeText(out, offset, topic)
  offset = out.writeUInt16BE(parts.packetId, offset)
  offset = writeLength(out, offset, propertyBytes)
  out[offset++] = 0x02
  offset = out.writeUInt32BE(parts.expirySeconds, offset)
  out[offset++] = 0x03
  offset = writeText(out, offset, JSON_TYPE)
  out[offset++] = 0x09
  offset = out.writeUInt16BE(correlation.length, offset)
  offset += correlation.copy(out, offset)
  for (let index = 0; index < userProperties.length; index += 2) {
    out[offset++] = 0x26
    offset = writeText(out, offset, userProperties[index]!)
    offset = writeText(out, offset, userProperties[index + 1]!)
  }
  out.write(payload, offset)
  return out
}

/** Encodes a PUBACK with reason code 0. */
export function encodePuback(packetId: number): Buffer {
  return Buffer.from([0x40, 2, packetId >> 8, packetId & 0xff])
}

const JSON_TYPE = 'application/json'

function writeText(out: Buffer, offset: number, text: string): number {
  const bytes = out.write(text, offset + 2)
  out.writeUInt16BE(bytes, offset)
  return offset + 2 + bytes
}

function sizeOfLength(value: number): number {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : 4
}

function writeLength(out: Buffer, start: number, value: number): number {
  let offset = start
  let rest = value
  for (; rest > 0x7f; rest >>>= 7) out[offset++] = (rest & 0x7f) | 0x80
  out[offset++] = rest
  return offset
}

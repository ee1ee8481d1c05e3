// Whether a control packet is one that a client may send, field by field (MQTT 5 chapter 3, MQTT 3.1.1 chapter 3).
import { isUtf8 } from 'node:buffer'

/** A packet that breaks the specification. */
export class MalformedPacketError extends Error {
  override readonly name = 'MalformedPacketError'
}

/** Protocol level of CONNECT. */
export type ClientVersion = 3 | 4 | 5

type FieldKind = 'byte' | 'two' | 'four' | 'variable' | 'string' | 'binary' | 'pair'

// MQTT 5 §2.2.2.2, with the packets of a client that may carry each: CONNECT, Will, PUBLISH, acks, SUBSCRIBE,
// UNSUBSCRIBE, DISCONNECT.
type Carrier = 'connect' | 'will' | 'publish' | 'ack' | 'subscribe' | 'unsubscribe' | 'disconnect'
const PROPERTIES: Record<number, readonly [FieldKind, ...Carrier[]]> = {
  0x01: ['byte', 'publish', 'will'],
  0x02: ['four', 'publish', 'will'],
  0x03: ['string', 'publish', 'will'],
  0x08: ['string', 'publish', 'will'],
  0x09: ['binary', 'publish', 'will'],
  0x0b: ['variable', 'subscribe'],
  0x11: ['four', 'connect', 'disconnect'],
  0x15: ['string', 'connect'],
  0x16: ['binary', 'connect'],
  0x17: ['byte', 'connect'],
  0x18: ['four', 'will'],
  0x19: ['byte', 'connect'],
  0x1f: ['string', 'ack', 'disconnect'],
  0x21: ['two', 'connect'],
  0x22: ['two', 'connect'],
  0x23: ['two', 'publish'],
  0x26: ['pair', 'connect', 'will', 'publish', 'ack', 'subscribe', 'unsubscribe', 'disconnect'],
  0x27: ['four', 'connect'],
}
const USER_PROPERTY = 0x26

/**
 * Checks one whole packet. `version` is undefined before CONNECT; the return value is the version to go on with.
 * @throws MalformedPacketError that says what is wrong.
 */
export function checkClientPacket(packet: Buffer, version: ClientVersion | undefined): ClientVersion {
  const type = packet[0]! >> 4
  const flags = packet[0]! & 15
  const fields = new Fields(packet, headerSize(packet))
  if (version === undefined) {
    if (type !== 1) throw new MalformedPacketError('The first packet is not CONNECT')
    return checkConnect(flags, fields)
  }
  switch (type) {
    case 3:
      checkPublish(flags, fields, version)
      break
    case 4:
    case 5:
    case 6:
    case 7:
      checkFlags(flags, type === 6 ? 2 : 0)
      checkAck(fields, version)
      break
    case 8:
    case 10:
      checkFlags(flags, 2)
      checkFilters(fields, version, type === 8)
      break
    case 12:
      checkFlags(flags, 0)
      fields.end()
      break
    case 14:
      checkFlags(flags, 0)
      if (version === 5 && !fields.isAtEnd) {
        fields.read('byte')
        if (!fields.isAtEnd) fields.properties('disconnect')
      }
      fields.end()
      break
    default:
      throw new MalformedPacketError(`A client may not send packet type ${type} here`)
  }
  return version
}

function headerSize(packet: Buffer): number {
  let size = 2
  while ((packet[size - 1]! & 0x80) !== 0) size += 1
  return size
}

function checkFlags(flags: number, expected: number): void {
  if (flags !== expected)
    throw new MalformedPacketError('Reserved flags of the fixed header are not as they must be')
}

function checkConnect(flags: number, fields: Fields): ClientVersion {
  checkFlags(flags, 0)
  const name = fields.text()
  const level = fields.read('byte')
  const isKnown = (name === 'MQTT' && (level === 4 || level === 5)) || (name === 'MQIsdp' && level === 3)
  if (!isKnown) throw new MalformedPacketError('The protocol is neither MQTT 3.1, 3.1.1 nor 5')
  const connectFlags = fields.read('byte')
  const hasWill = (connectFlags & 4) !== 0
  const willQoS = (connectFlags >> 3) & 3
  if ((connectFlags & 1) !== 0) throw new MalformedPacketError('The reserved flag of CONNECT is set')
  if (willQoS === 3 || (!hasWill && (connectFlags & 0x38) !== 0))
    throw new MalformedPacketError('Will flags contradict')
  fields.read('two')
  if (level === 5) fields.properties('connect')
  fields.read('string')
  if (hasWill) {
    if (level === 5) fields.properties('will')
    checkTopicName(fields.text())
    fields.read('binary')
  }
  if ((connectFlags & 0x80) !== 0) fields.read('string')
  if ((connectFlags & 0x40) !== 0) fields.read('binary')
  fields.end()
  return level as ClientVersion
}

function checkPublish(flags: number, fields: Fields, version: ClientVersion): void {
  const qos = (flags >> 1) & 3
  if (qos === 3) throw new MalformedPacketError('PUBLISH with QoS 3')
  if (qos === 0 && (flags & 8) !== 0) throw new MalformedPacketError('PUBLISH with DUP and QoS 0')
  const topic = fields.text()
  if (qos > 0) packetIdentifier(fields)
  const hasAlias = version === 5 && fields.properties('publish').has(0x23)
  if (hasAlias) throw new MalformedPacketError('PUBLISH with a Topic Alias, although none was offered')
  checkTopicName(topic)
}

function checkTopicName(topic: string): void {
  if (topic === '' || /[+#]/.test(topic))
    throw new MalformedPacketError('A topic name is empty or has a wildcard')
}

function checkAck(fields: Fields, version: ClientVersion): void {
  packetIdentifier(fields)
  if (version === 5 && !fields.isAtEnd) {
    fields.read('byte')
    if (!fields.isAtEnd) fields.properties('ack')
  }
  fields.end()
}

function checkFilters(fields: Fields, version: ClientVersion, isSubscribe: boolean): void {
  packetIdentifier(fields)
  if (version === 5) fields.properties(isSubscribe ? 'subscribe' : 'unsubscribe')
  if (fields.isAtEnd) throw new MalformedPacketError('No topic filter')
  while (!fields.isAtEnd) {
    if (fields.text() === '') throw new MalformedPacketError('An empty topic filter')
    if (!isSubscribe) continue
    const options = fields.read('byte')
    const isValid =
      version === 5 ? (options & 0xc0) === 0 && (options & 0x30) !== 0x30 : (options & 0xfc) === 0
    if (!isValid || (options & 3) === 3) throw new MalformedPacketError('Subscription options are not valid')
  }
}

function packetIdentifier(fields: Fields): void {
  if (fields.read('two') === 0) throw new MalformedPacketError('Packet Identifier 0')
}

// Reads field after field, and never past the packet.
class Fields {
  readonly #bytes: Buffer
  #offset: number

  constructor(bytes: Buffer, offset: number) {
    this.#bytes = bytes
    this.#offset = offset
  }

  get isAtEnd(): boolean {
    return this.#offset === this.#bytes.length
  }

  end(): void {
    if (!this.isAtEnd) throw new MalformedPacketError('Bytes after the last field')
  }

  text(): string {
    const start = this.#offset + 2
    this.read('string')
    return this.#bytes.toString('utf8', start, this.#offset)
  }

  // Numbers are returned; of strings and binary only the place is passed over.
  read(kind: FieldKind): number {
    switch (kind) {
      case 'byte':
        return this.#bytes[this.#skip(1)]!
      case 'two':
        return this.#bytes.readUInt16BE(this.#skip(2))
      case 'four':
        return this.#bytes.readUInt32BE(this.#skip(4))
      case 'variable':
        return this.#variable()
      case 'string': {
        const length = this.read('two')
        const start = this.#skip(length)
        const bytes = this.#bytes.subarray(start, start + length)
        if (!isUtf8(bytes) || bytes.includes(0))
          throw new MalformedPacketError('A string is not UTF-8, or has U+0000')
        return length
      }
      case 'binary': {
        const length = this.read('two')
        this.#skip(length)
        return length
      }
      case 'pair':
        this.read('string')
        return this.read('string')
    }
  }

  /** Passes over the properties and tells which there were. */
  properties(carrier: Carrier): Set<number> {
    const length = this.#variable()
    const end = this.#offset + length
    if (end > this.#bytes.length) throw new MalformedPacketError('Properties run past the packet')
    const seen = new Set<number>()
    while (this.#offset < end) {
      const id = this.read('byte')
      const [kind, ...carriers] = PROPERTIES[id] ?? ['byte']
      if (!carriers.includes(carrier))
        throw new MalformedPacketError(`Property 0x${id.toString(16)} does not belong here`)
      if (seen.has(id) && id !== USER_PROPERTY)
        throw new MalformedPacketError(`Property 0x${id.toString(16)} twice`)
      seen.add(id)
      const value = this.read(kind)
      if (this.#offset > end) throw new MalformedPacketError('A property runs past the properties')
      const isFlag = id === 0x01 || id === 0x17 || id === 0x19
      if (isFlag && value > 1)
        throw new MalformedPacketError(`Property 0x${id.toString(16)} is neither 0 nor 1`)
      const mayNotBeZero = id === 0x21 || id === 0x27 || id === 0x0b
      if (mayNotBeZero && value === 0) throw new MalformedPacketError(`Property 0x${id.toString(16)} is 0`)
    }
    return seen
  }

  #skip(bytes: number): number {
    const start = this.#offset
    if (start + bytes > this.#bytes.length) throw new MalformedPacketError('A field runs past the packet')
    this.#offset = start + bytes
    return start
  }

  #variable(): number {
    let value = 0
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.#bytes[this.#skip(1)]!
      value |= (byte & 0x7f) << shift
      if ((byte & 0x80) === 0) return value
    }
    throw new MalformedPacketError('A Variable Byte Integer has more than four bytes')
  }
}

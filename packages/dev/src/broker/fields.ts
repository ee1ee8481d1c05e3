// Reads and checks the fields of one MQTT packet (MQTT 5 §1.5, §2.2.2).
import { isUtf8 } from 'node:buffer'
import { REASON, RefusedPacketError } from './refused-packet.ts'

/** The data type of a field. A `pair` consists of two strings. */
export type FieldKind = 'byte' | 'two' | 'four' | 'variable' | 'string' | 'binary' | 'pair'

/** The packets and places in which a client may send properties. */
export type Carrier = 'connect' | 'will' | 'publish' | 'ack' | 'subscribe' | 'unsubscribe' | 'disconnect'

// The property identifiers that this file needs.
const PROPERTY = {
  messageExpiryInterval: 0x02,
  responseTopic: 0x08,
  topicAlias: 0x23,
  userProperty: 0x26,
} as const

// MQTT 5 §2.2.2.2.
const PROPERTIES: ReadonlyMap<number, readonly [FieldKind, ...Carrier[]]> = new Map([
  [0x01, ['byte', 'publish', 'will']],
  [0x02, ['four', 'publish', 'will']],
  [0x03, ['string', 'publish', 'will']],
  [0x08, ['string', 'publish', 'will']],
  [0x09, ['binary', 'publish', 'will']],
  [0x0b, ['variable', 'subscribe']],
  [0x11, ['four', 'connect', 'disconnect']],
  [0x15, ['string', 'connect']],
  [0x16, ['binary', 'connect']],
  [0x17, ['byte', 'connect']],
  [0x18, ['four', 'will']],
  [0x19, ['byte', 'connect']],
  [0x1f, ['string', 'ack', 'disconnect']],
  [0x21, ['two', 'connect']],
  [0x22, ['two', 'connect']],
  [0x23, ['two', 'publish']],
  [0x26, ['pair', 'connect', 'will', 'publish', 'ack', 'subscribe', 'unsubscribe', 'disconnect']],
  [0x27, ['four', 'connect']],
] as [number, readonly [FieldKind, ...Carrier[]]][])
const FLAGS = new Set([0x01, 0x17, 0x19])
const NOT_ZERO = new Set([0x0b, 0x21, 0x27])
// Properties are read one by one, so millions of tiny properties would block the process for seconds.
const PROPERTIES_BYTES_MAX = 256 * 1024

/** Result of {@link Fields.properties}. */
export interface FoundProperties {
  responseTopic?: string
  topicAlias?: number
  messageExpiryInterval?: number
  /** All other properties, still encoded, in their original order. */
  carried: Buffer[]
}

/** Returns the size in bytes of a packet's fixed header. */
export function headerSize(packet: Buffer): number {
  let size = 2
  while ((packet[size - 1]! & 0x80) !== 0) size += 1
  return size
}

/** A cursor over one packet. Its methods throw RefusedPacketError if the packet is malformed. */
export class Fields {
  readonly #bytes: Buffer
  #offset: number
  // Offset of the last string or binary value.
  #valueStart = 0

  constructor(bytes: Buffer, offset: number) {
    this.#bytes = bytes
    this.#offset = offset
  }

  get isAtEnd(): boolean {
    return this.#offset === this.#bytes.length
  }

  end(): void {
    if (!this.isAtEnd) throw new RefusedPacketError('there are bytes after the last field')
  }

  text(): string {
    this.read('string')
    return this.#lastText()
  }

  /**
   * Reads one field. Returns the value if the field is a number, and the length if it is a string or binary data.
   */
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
        const length = this.read('binary')
        const bytes = this.#bytes.subarray(this.#valueStart, this.#offset)
        if (!isUtf8(bytes)) throw new RefusedPacketError('a string is not UTF-8')
        if (bytes.includes(0)) throw new RefusedPacketError('a string contains U+0000')
        return length
      }
      case 'binary': {
        const length = this.read('two')
        this.#valueStart = this.#skip(length)
        return length
      }
      case 'pair':
        return this.read('string') + this.read('string')
    }
  }

  /** Returns all bytes after the last field that was read. */
  rest(): Buffer {
    return this.#bytes.subarray(this.#offset)
  }

  /** Checks all properties, and returns those that the broker uses. */
  properties(carrier: Carrier): FoundProperties {
    const length = this.#variable()
    const end = this.#offset + length
    if (end > this.#bytes.length)
      throw new RefusedPacketError('the properties extend past the end of the packet')
    if (length > PROPERTIES_BYTES_MAX) {
      throw new RefusedPacketError('the properties are larger than 256 KiB', REASON.packetTooLarge)
    }
    const found: FoundProperties = { carried: [] }
    const seen = new Set<number>()
    while (this.#offset < end) {
      const start = this.#offset
      const id = this.read('byte')
      const name = `property 0x${id.toString(16).padStart(2, '0')}`
      const [kind, ...carriers] = PROPERTIES.get(id) ?? (['byte'] as const)
      if (!(carriers as readonly Carrier[]).includes(carrier)) {
        throw new RefusedPacketError(`${name} is not allowed here`)
      }
      if (seen.has(id) && id !== PROPERTY.userProperty) {
        throw new RefusedPacketError(`${name} occurs twice`, REASON.protocolError)
      }
      seen.add(id)
      const value = this.read(kind)
      if (this.#offset > end) throw new RefusedPacketError(`${name} extends past the Property Length`)
      if ((FLAGS.has(id) && value > 1) || (NOT_ZERO.has(id) && value === 0)) {
        throw new RefusedPacketError(`${name} must not be ${value}`, REASON.protocolError)
      }
      if (id === PROPERTY.topicAlias) found.topicAlias = value
      else if (id === PROPERTY.messageExpiryInterval) found.messageExpiryInterval = value
      else found.carried.push(this.#bytes.subarray(start, this.#offset))
      if (id === PROPERTY.responseTopic) found.responseTopic = this.#lastText()
    }
    return found
  }

  #lastText(): string {
    return this.#bytes.toString('utf8', this.#valueStart, this.#offset)
  }

  #skip(length: number): number {
    const start = this.#offset
    if (start + length > this.#bytes.length)
      throw new RefusedPacketError('a field extends past the end of the packet')
    this.#offset = start + length
    return start
  }

  #variable(): number {
    let value = 0
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.#bytes[this.#skip(1)]!
      value |= (byte & 0x7f) << shift
      if ((byte & 0x80) === 0) return value
    }
    throw new RefusedPacketError('a Variable Byte Integer has more than four bytes')
  }
}

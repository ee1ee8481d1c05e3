// Reads the properties of the broker's control packets other than PUBLISH (MQTT 5 §2.2.2.2, table 2-4).
import { readText, readVariableByteInteger, sizeOfVariableByteInteger, stringEnd } from './field-reader.ts'
import { MalformedPacket } from './malformed.ts'

/** A control packet from the broker that may have properties. */
export type PropertyCarrier = 'CONNACK' | 'PUBACK' | 'SUBACK' | 'UNSUBACK' | 'DISCONNECT'

/** The properties that the connector uses. */
export interface ControlProperties {
  readonly sessionExpiryInterval?: number
  readonly serverKeepAlive?: number
  readonly receiveMaximum?: number
  readonly maximumQoS?: number
  readonly retainAvailable?: number
  readonly maximumPacketSize?: number
  readonly wildcardSubscriptionAvailable?: number
  readonly sharedSubscriptionAvailable?: number
  readonly reasonString?: string
  readonly serverReference?: string
}

type NumberName = {
  [Name in keyof ControlProperties]-?: number extends ControlProperties[Name] ? Name : never
}[keyof ControlProperties]
type TextName = Exclude<keyof ControlProperties, NumberName>

type Rule = { readonly packets: readonly PropertyCarrier[] } & (
  | { readonly type: 'flag' | 'byte' | 'two bytes' | 'four bytes'; readonly name?: NumberName }
  | { readonly type: 'text'; readonly name?: TextName }
  | { readonly type: 'binary' | 'pair' }
)

const CONNACK = ['CONNACK'] as const
const ALL = ['CONNACK', 'PUBACK', 'SUBACK', 'UNSUBACK', 'DISCONNECT'] as const
const USER_PROPERTY = 0x26

// A property whose rule has no `name` is checked, but not returned.
const RULES: Readonly<Record<number, Rule>> = {
  // A server must not send the Session Expiry Interval in DISCONNECT (MQTT-3.14.2-2).
  0x11: { packets: CONNACK, type: 'four bytes', name: 'sessionExpiryInterval' },
  0x12: { packets: CONNACK, type: 'text' },
  0x13: { packets: CONNACK, type: 'two bytes', name: 'serverKeepAlive' },
  0x15: { packets: CONNACK, type: 'text' },
  0x16: { packets: CONNACK, type: 'binary' },
  0x1a: { packets: CONNACK, type: 'text' },
  0x1c: { packets: ['CONNACK', 'DISCONNECT'], type: 'text', name: 'serverReference' },
  0x1f: { packets: ALL, type: 'text', name: 'reasonString' },
  0x21: { packets: CONNACK, type: 'two bytes', name: 'receiveMaximum' },
  0x22: { packets: CONNACK, type: 'two bytes' },
  0x24: { packets: CONNACK, type: 'byte', name: 'maximumQoS' },
  0x25: { packets: CONNACK, type: 'flag', name: 'retainAvailable' },
  [USER_PROPERTY]: { packets: ALL, type: 'pair' },
  0x27: { packets: CONNACK, type: 'four bytes', name: 'maximumPacketSize' },
  0x28: { packets: CONNACK, type: 'flag', name: 'wildcardSubscriptionAvailable' },
  0x29: { packets: CONNACK, type: 'flag' },
  0x2a: { packets: CONNACK, type: 'flag', name: 'sharedSubscriptionAvailable' },
}

/** The properties, and the offset at which they end. */
export interface ReadProperties {
  readonly properties: ControlProperties
  readonly end: number
}

/** Reads the Property Length at `offset` and the properties after it. @throws MalformedPacket */
export function readControlProperties(body: Buffer, offset: number, packet: PropertyCarrier): ReadProperties {
  const length = readVariableByteInteger(body, offset)
  const start = offset + sizeOfVariableByteInteger(length)
  const end = start + length
  if (end > body.length)
    throw new MalformedPacket(`The properties of ${packet} extend past the end of the packet`)
  const properties: { -readonly [Name in keyof ControlProperties]: ControlProperties[Name] } = {}
  const seen = new Set<number>()
  for (let at = start; at < end;) {
    const id = body[at++]!
    const rule = RULES[id]
    const shown = `The broker sent ${packet} with property 0x${id.toString(16)}`
    if (rule === undefined || !rule.packets.includes(packet))
      throw new MalformedPacket(`${shown}, which is not allowed there (MQTT 5 table 2-4)`)
    if (seen.has(id) && id !== USER_PROPERTY) throw new MalformedPacket(`${shown} twice (MQTT 5 §2.2.2.2)`)
    seen.add(id)
    const valueEnd = endOf(body, at, end, rule.type)
    if (valueEnd > end) throw new MalformedPacket(`${shown} that extends past the Property Length`)
    switch (rule.type) {
      case 'text': {
        const text = readText(body, at, valueEnd)
        if (rule.name !== undefined) properties[rule.name] = text
        break
      }
      case 'pair':
        readText(body, at, stringEnd(body, at, end))
        readText(body, stringEnd(body, at, end), valueEnd)
        break
      case 'binary':
        break
      case 'flag':
      case 'byte':
      case 'two bytes':
      case 'four bytes': {
        const value = body.readUIntBE(at, valueEnd - at)
        if (rule.type === 'flag' && value > 1)
          throw new MalformedPacket(`${shown} and value ${value}, instead of 0 or 1 (§3.2.2.3)`)
        if (rule.name !== undefined) properties[rule.name] = value
      }
    }
    at = valueEnd
  }
  return { properties, end }
}

function endOf(body: Buffer, at: number, limit: number, type: Rule['type']): number {
  switch (type) {
    case 'flag':
    case 'byte':
      return at + 1
    case 'two bytes':
      return at + 2
    case 'four bytes':
      return at + 4
    case 'text':
    case 'binary':
      return stringEnd(body, at, limit)
    case 'pair':
      return stringEnd(body, stringEnd(body, at, limit), limit)
  }
}

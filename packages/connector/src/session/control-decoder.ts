// Decodes the broker's control packets other than PUBLISH: every field, to the last byte.
import { readControlProperties, type ControlProperties, type PropertyCarrier } from './control-properties.ts'
import type { Frame } from './frame-reader.ts'
import { MalformedPacket } from './malformed.ts'

/** CONNACK (MQTT 5 §3.2, MQTT 3.1.1 §3.2). */
export interface Connack {
  readonly sessionPresent: boolean
  /** An MQTT 3.1.1 return code if `isV311`: a broker that does not support MQTT 5 responds in its own format. */
  readonly reasonCode: number
  readonly isV311: boolean
  readonly properties: ControlProperties
}

/** PUBACK, SUBACK or UNSUBACK. */
export interface Acknowledgement {
  readonly packetId: number
  /** One code for each topic filter; exactly one for PUBACK; none for an MQTT 3.1.1 UNSUBACK. */
  readonly reasonCodes: readonly number[]
}

/** DISCONNECT (MQTT 5 §3.14). */
export interface Disconnect {
  readonly reasonCode: number
  readonly properties: ControlProperties
}

const NO_PROPERTIES: ControlProperties = {}
const SUCCESS = [0] as const

/** Decodes CONNACK. @throws MalformedPacket */
export function decodeConnack(frame: Frame, protocolVersion: 4 | 5): Connack {
  const { body } = checked(frame, 'CONNACK')
  // CONNACK has at least the acknowledge flags and the reason code (MQTT 5 §3.2.2).
  if (body.length < 2) throw new MalformedPacket('CONNACK ends before its reason code')
  const [flags = 0, reasonCode = 0] = body
  if (flags > 1) throw new MalformedPacket('The broker sent CONNACK with reserved flags (MQTT 5 §3.2.2.1)')
  const sessionPresent = flags === 1
  if (sessionPresent && reasonCode !== 0)
    throw new MalformedPacket(
      'The broker sent CONNACK with a refusal and with Session Present (MQTT-3.2.2-6)',
    )
  // A broker that supports only MQTT 3.1.1 refuses an MQTT 5 client with an MQTT 3.1.1 CONNACK and return code 1 (MQTT
  // 3.1.1 §3.1.2.2).
  const isV311 = protocolVersion === 4 || (body.length === 2 && reasonCode !== 0 && reasonCode < 0x80)
  if (isV311) {
    if (body.length > 2) throw new MalformedPacket('CONNACK has extra bytes after its return code')
    return { sessionPresent, reasonCode, isV311, properties: NO_PROPERTIES }
  }
  if (body.length === 2) {
    // Some brokers omit the Property Length of a refusal; its reason code must still reach the operator.
    if (reasonCode >= 0x80) return { sessionPresent, reasonCode, isV311, properties: NO_PROPERTIES }
    throw new MalformedPacket(
      'CONNACK ends before its Property Length (MQTT 5 §3.2.2.3): the broker responded in MQTT 3.1.1. Set broker.mqttVersion: 3.1.1',
    )
  }
  const properties = lastProperties(body, 2, 'CONNACK')
  return { sessionPresent, reasonCode, isV311, properties }
}

/** Decodes PUBACK. @throws MalformedPacket */
export function decodePuback(frame: Frame, protocolVersion: 4 | 5): Acknowledgement {
  const { body } = checked(frame, 'PUBACK')
  const packetId = packetIdOf(body, 'PUBACK')
  // MQTT 5 §3.4.2.1: no reason code means success.
  if (body.length === 2) return { packetId, reasonCodes: SUCCESS }
  if (protocolVersion === 4) throw new MalformedPacket('PUBACK has extra bytes after its Packet Identifier')
  // §3.4.2.2.1: no Property Length means no properties.
  if (body.length > 3) lastProperties(body, 3, 'PUBACK')
  return { packetId, reasonCodes: [body[2]!] }
}

/** Decodes SUBACK. @throws MalformedPacket */
export function decodeSuback(frame: Frame, protocolVersion: 4 | 5): Acknowledgement {
  const { body } = checked(frame, 'SUBACK')
  const packetId = packetIdOf(body, 'SUBACK')
  const end = protocolVersion === 5 ? readControlProperties(body, 2, 'SUBACK').end : 2
  const reasonCodes = [...body.subarray(end)]
  // We subscribe with QoS 1 at most. In MQTT 5 every code of 0x80 and above is a refusal (§2.4); MQTT 3.1.1 §3.9.3
  // defines only 0x80.
  const wrong = reasonCodes.find(
    (code) => code > 1 && (code < 0x80 || (protocolVersion === 4 && code > 0x80)),
  )
  if (wrong !== undefined)
    throw new MalformedPacket(
      `The broker sent SUBACK with 0x${wrong.toString(16)} for a subscription with QoS 1 (§3.9.3)`,
    )
  return { packetId, reasonCodes }
}

/** Decodes UNSUBACK. @throws MalformedPacket */
export function decodeUnsuback(frame: Frame, protocolVersion: 4 | 5): Acknowledgement {
  const { body } = checked(frame, 'UNSUBACK')
  const packetId = packetIdOf(body, 'UNSUBACK')
  if (protocolVersion === 5) {
    const { end } = readControlProperties(body, 2, 'UNSUBACK')
    return { packetId, reasonCodes: [...body.subarray(end)] }
  }
  if (body.length > 2) throw new MalformedPacket('UNSUBACK has extra bytes after its Packet Identifier')
  return { packetId, reasonCodes: [] }
}

/**
 * Decodes DISCONNECT. @throws MalformedPacket; with MQTT 3.1.1, always throws it, because an MQTT 3.1.1 server
 * never sends DISCONNECT (§3.14).
 */
export function decodeDisconnect(frame: Frame, protocolVersion: 4 | 5): Disconnect {
  if (protocolVersion === 4)
    throw new MalformedPacket('The broker sent DISCONNECT, which an MQTT 3.1.1 server never sends')
  const { body } = checked(frame, 'DISCONNECT')
  // MQTT 5 §3.14.2.1, §3.14.2.2.1: an omitted reason code is 0, an omitted Property Length means no properties.
  const properties = body.length > 1 ? lastProperties(body, 1, 'DISCONNECT') : NO_PROPERTIES
  return { reasonCode: body[0] ?? 0, properties }
}

/** Checks PINGRESP. @throws MalformedPacket */
export function checkPingresp(frame: Frame): void {
  if (checked(frame, 'PINGRESP').bodyBytes > 0)
    throw new MalformedPacket('The broker sent PINGRESP with a body (MQTT 5 §3.13)')
}

function checked(frame: Frame, name: string): Frame {
  if ((frame.head & 0x0f) !== 0)
    throw new MalformedPacket(
      `The broker sent ${name} with reserved flags in its fixed header (MQTT-2.1.3-1)`,
    )
  if (frame.body.length < frame.bodyBytes)
    throw new MalformedPacket(
      `The broker sent ${name} with ${frame.bodyBytes} bytes, more than this packet can have`,
    )
  return frame
}

function packetIdOf(body: Buffer, name: string): number {
  if (body.length < 2) throw new MalformedPacket(`The broker sent ${name} without a Packet Identifier`)
  const packetId = body.readUInt16BE(0)
  if (packetId === 0)
    throw new MalformedPacket(`The broker sent ${name} with Packet Identifier 0 (MQTT 5 §2.2.1)`)
  return packetId
}

// Reads the properties at the end of a packet.
function lastProperties(body: Buffer, offset: number, packet: PropertyCarrier): ControlProperties {
  const { properties, end } = readControlProperties(body, offset, packet)
  if (end < body.length) throw new MalformedPacket(`${packet} has extra bytes after its properties`)
  return properties
}

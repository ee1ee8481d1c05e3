// Checks, field by field, whether a client may send a control packet (MQTT 5 chapter 3, MQTT 3.1.1 chapter 3).
import { Fields, headerSize } from './fields.ts'
import { REASON, RefusedPacketError } from './refused-packet.ts'

/** Protocol level of CONNECT. */
export type ClientVersion = 3 | 4 | 5

const TYPE = {
  connect: 1,
  connack: 2,
  publish: 3,
  puback: 4,
  pubrec: 5,
  pubrel: 6,
  pubcomp: 7,
  subscribe: 8,
  unsubscribe: 10,
  pingreq: 12,
  disconnect: 14,
} as const

/** Returns whether the first byte of a fixed header denotes PUBLISH. */
export function isPublish(firstByte: number): boolean {
  return firstByte >> 4 === TYPE.publish
}

/** Returns whether a packet from the broker is a CONNACK that reports success. `packet` may be incomplete. */
export function isConnackWithSuccess(packet: Buffer): boolean {
  // MQTT 5 §3.2.2: Acknowledge Flags, then the reason code.
  return packet[0] === TYPE.connack << 4 && packet[headerSize(packet) + 1] === 0
}

/**
 * Returns whether the first byte of a fixed header denotes DISCONNECT; the broker ignores all packets after a
 * DISCONNECT.
 */
export function isDisconnect(firstByte: number): boolean {
  return firstByte >> 4 === TYPE.disconnect
}

/** Checks the first byte of a connection. @throws RefusedPacketError if it does not denote CONNECT */
export function checkFirstByte(firstByte: number): void {
  if (firstByte >> 4 !== TYPE.connect) throw new RefusedPacketError('the first packet is not CONNECT')
}

/**
 * Checks one whole packet, and returns the protocol level of the connection. `version` is undefined before CONNECT.
 * @throws RefusedPacketError with the reason
 */
export function checkClientPacket(packet: Buffer, version: ClientVersion | undefined): ClientVersion {
  const type = packet[0]! >> 4
  const flags = packet[0]! & 15
  const fields = new Fields(packet, headerSize(packet))
  if (version === undefined) {
    checkFirstByte(packet[0]!)
    return checkConnect(flags, fields)
  }
  switch (type) {
    case TYPE.publish:
      checkPublish(flags, fields, version)
      break
    case TYPE.puback:
    case TYPE.pubrec:
    case TYPE.pubrel:
    case TYPE.pubcomp:
      checkFlags(flags, type === TYPE.pubrel ? 2 : 0)
      checkAck(fields, version)
      break
    case TYPE.subscribe:
    case TYPE.unsubscribe:
      checkFlags(flags, 2)
      checkFilters(fields, version, type === TYPE.subscribe)
      break
    case TYPE.pingreq:
      checkFlags(flags, 0)
      fields.end()
      break
    case TYPE.disconnect:
      checkFlags(flags, 0)
      if (version === 5) checkReason(fields, 'disconnect')
      fields.end()
      break
    case TYPE.connect:
      throw new RefusedPacketError('the client sent a second CONNECT', REASON.protocolError)
    default:
      throw new RefusedPacketError(`a client may not send packet type ${type}`, REASON.protocolError)
  }
  return version
}

function checkFlags(flags: number, expected: number): void {
  if (flags !== expected) throw new RefusedPacketError('the reserved flags of the fixed header are not valid')
}

function checkConnect(flags: number, fields: Fields): ClientVersion {
  checkFlags(flags, 0)
  const name = fields.text()
  const level = fields.read('byte')
  const isKnown = (name === 'MQTT' && (level === 4 || level === 5)) || (name === 'MQIsdp' && level === 3)
  if (!isKnown) {
    throw new RefusedPacketError(
      'the protocol of CONNECT is not MQTT 3.1, 3.1.1 or 5',
      REASON.unsupportedProtocolVersion,
    )
  }
  try {
    checkConnectAfterLevel(fields, level)
  } catch (error) {
    if (!(error instanceof RefusedPacketError)) throw error
    throw new RefusedPacketError(error.message, error.reasonCode, level)
  }
  return level
}

function checkConnectAfterLevel(fields: Fields, level: number): void {
  const connectFlags = fields.read('byte')
  const hasWill = (connectFlags & 0x04) !== 0
  const hasUserName = (connectFlags & 0x80) !== 0
  const hasPassword = (connectFlags & 0x40) !== 0
  if ((connectFlags & 0x01) !== 0) throw new RefusedPacketError('the reserved flag of CONNECT is set')
  if ((connectFlags & 0x18) === 0x18) throw new RefusedPacketError('the Will has QoS 3')
  if (!hasWill && (connectFlags & 0x38) !== 0)
    throw new RefusedPacketError('CONNECT has Will flags but no Will')
  // MQTT 3.1.1 [MQTT-3.1.2-22]; MQTT 5 removed this rule.
  if (level !== 5 && hasPassword && !hasUserName)
    throw new RefusedPacketError('CONNECT has a password but no user name')
  fields.read('two')
  if (level === 5) fields.properties('connect')
  fields.read('string')
  if (hasWill) {
    if (level === 5) checkResponseTopic(fields.properties('will').responseTopic)
    const topic = fields.text()
    checkTopicName(topic, 'the Will Topic')
    if (topic.startsWith('$')) {
      throw new RefusedPacketError('the Will Topic begins with $', REASON.notAuthorized)
    }
    fields.read('binary')
  }
  if (hasUserName) fields.read('string')
  if (hasPassword) fields.read('binary')
  fields.end()
}

function checkPublish(flags: number, fields: Fields, version: ClientVersion): void {
  const qos = (flags >> 1) & 3
  if (qos === 3) throw new RefusedPacketError('PUBLISH has QoS 3')
  if (qos === 0 && (flags & 8) !== 0) throw new RefusedPacketError('PUBLISH has DUP and QoS 0')
  const topic = fields.text()
  if (qos > 0) checkPacketIdentifier(fields)
  if (version === 5) {
    const { topicAlias, responseTopic } = fields.properties('publish')
    // The broker sends no Topic Alias Maximum in CONNACK, so clients must not use aliases.
    if (topicAlias !== undefined) {
      throw new RefusedPacketError(
        'PUBLISH has a Topic Alias, which is not supported',
        REASON.topicAliasInvalid,
      )
    }
    checkResponseTopic(responseTopic)
  }
  checkTopicName(topic, 'the topic name')
}

function checkResponseTopic(topic: string | undefined): void {
  if (topic !== undefined) checkTopicName(topic, 'the Response Topic')
}

function checkTopicName(topic: string, what: string): void {
  if (topic === '') throw new RefusedPacketError(`${what} is empty`, REASON.protocolError)
  if (/[+#]/.test(topic)) throw new RefusedPacketError(`${what} contains a wildcard`, REASON.topicNameInvalid)
  if (hasTooManyLevels(topic)) {
    throw new RefusedPacketError(
      `${what} has more than ${SEPARATORS_MAX} topic level separators`,
      REASON.topicNameInvalid,
    )
  }
}

// Mosquitto has the same limit.
const SEPARATORS_MAX = 200

function hasTooManyLevels(topic: string): boolean {
  let count = 0
  for (let at = topic.indexOf('/'); at >= 0; at = topic.indexOf('/', at + 1)) count += 1
  return count > SEPARATORS_MAX
}

function checkAck(fields: Fields, version: ClientVersion): void {
  checkPacketIdentifier(fields)
  if (version === 5) checkReason(fields, 'ack')
  fields.end()
}

// MQTT 5 §3.4.2.1: the packet may end before the Property Length, or before the Reason Code.
function checkReason(fields: Fields, carrier: 'ack' | 'disconnect'): void {
  if (fields.isAtEnd) return
  fields.read('byte')
  if (!fields.isAtEnd) fields.properties(carrier)
}

// A SUBSCRIBE with millions of filters would block the process.
const FILTERS_MAX = 10_000

function checkFilters(fields: Fields, version: ClientVersion, isSubscribe: boolean): void {
  checkPacketIdentifier(fields)
  if (version === 5) fields.properties(isSubscribe ? 'subscribe' : 'unsubscribe')
  if (fields.isAtEnd) throw new RefusedPacketError('the packet has no topic filter', REASON.protocolError)
  for (let count = 1; !fields.isAtEnd; count++) {
    if (count > FILTERS_MAX) {
      throw new RefusedPacketError(
        `the packet has more than ${FILTERS_MAX} topic filters`,
        REASON.packetTooLarge,
      )
    }
    const filter = fields.text()
    checkTopicFilter(filter)
    if (!isSubscribe) continue
    const options = fields.read('byte')
    const isValid =
      version === 5 ? (options & 0xc0) === 0 && (options & 0x30) !== 0x30 : (options & 0xfc) === 0
    if (!isValid || (options & 3) === 3)
      throw new RefusedPacketError('the subscription options are not valid')
    // MQTT 5 [MQTT-3.8.3-4]
    if (filter.startsWith('$share/') && (options & 4) !== 0) {
      throw new RefusedPacketError('a shared subscription has No Local', REASON.protocolError)
    }
  }
}

// A SUBSCRIBE may contain millions of topic levels, so this check does not split filters into strings.
function checkTopicFilter(filter: string): void {
  if (filter === '' || MISPLACED_WILDCARD.test(filter)) {
    throw new RefusedPacketError('a topic filter is not valid', REASON.topicFilterInvalid)
  }
  if (hasTooManyLevels(filter)) {
    throw new RefusedPacketError(
      `a topic filter has more than ${SEPARATORS_MAX} topic level separators`,
      REASON.topicFilterInvalid,
    )
  }
  // MQTT 5 [MQTT-4.8.2-1], [MQTT-4.8.2-2]: $share/{ShareName}/{filter}, without a wildcard in the name.
  if (/^\$share(?:\/|$)/.test(filter) && !/^\$share\/[^/+#]+\/[^]/.test(filter)) {
    throw new RefusedPacketError(
      'a shared subscription does not have the form $share/{ShareName}/{filter}',
      REASON.topicFilterInvalid,
    )
  }
}

// A wildcard must be alone in its level, and `#` must be in the last level (MQTT 5 §4.7.1).
const MISPLACED_WILDCARD = /[^/][+#]|\+[^/]|#[^]/

function checkPacketIdentifier(fields: Fields): void {
  if (fields.read('two') === 0)
    throw new RefusedPacketError('the Packet Identifier is 0', REASON.protocolError)
}

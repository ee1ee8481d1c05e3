// Input for the packet target: one packet of every type, and mutations that keep the Remaining Length correct.
import { generate, type Packet } from 'mqtt-packet'
import type { Random } from '../../fixtures/random.ts'
import { tokens } from '../target.ts'

const PROPERTIES = {
  responseTopic: 'infer/reply/c/m',
  correlationData: Buffer.from([0, 255]),
  contentType: 'application/json',
  messageExpiryInterval: 5,
  payloadFormatIndicator: true,
  userProperties: { traceparent: ['1', '2'], b: '3' },
}
const publish = (qos: 0 | 1 | 2, properties?: object): Packet =>
  ({
    cmd: 'publish',
    topic: 'infer/request/c/m/infer',
    payload: '{}',
    qos,
    messageId: 3,
    dup: qos > 0,
    retain: qos === 0,
    ...(properties === undefined ? {} : { properties }),
  }) as Packet
const CONNACK: Packet = {
  cmd: 'connack',
  sessionPresent: true,
  reasonCode: 0,
  returnCode: 0,
  properties: {
    receiveMaximum: 20,
    maximumQoS: 1,
    maximumPacketSize: 65_536,
    serverKeepAlive: 20,
    sharedSubscriptionAvailable: false,
    assignedClientIdentifier: 'x',
    reasonString: 'welcome',
    userProperties: { a: 'b' },
  },
}
const PACKETS: readonly Packet[] = [
  CONNACK,
  { ...CONNACK, reasonCode: 0x87, returnCode: 5, sessionPresent: false } as Packet,
  publish(0),
  publish(1),
  publish(1, PROPERTIES),
  publish(2, { contentType: 'a/b' }),
  { cmd: 'puback', messageId: 1, reasonCode: 0 },
  { cmd: 'puback', messageId: 2, reasonCode: 0x87, properties: { reasonString: 'no' } },
  { cmd: 'pubrec', messageId: 3, reasonCode: 0 },
  { cmd: 'pubrel', messageId: 3, reasonCode: 0 },
  { cmd: 'pubcomp', messageId: 3, reasonCode: 0 },
  { cmd: 'suback', messageId: 65_535, granted: [1], properties: { reasonString: 'yes' } } as Packet,
  { cmd: 'suback', messageId: 65_535, granted: [1, 0x87] } as Packet,
  { cmd: 'unsuback', messageId: 65_535, granted: [0] } as Packet,
  { cmd: 'pingresp' },
  { cmd: 'pingreq' },
  { cmd: 'disconnect', reasonCode: 0x8e, properties: { reasonString: 'taken over', serverReference: 'x' } },
  { cmd: 'auth', reasonCode: 0x18, properties: { authenticationMethod: 'm' } },
  { cmd: 'subscribe', messageId: 4, subscriptions: [{ topic: 'a/#', qos: 1 }] } as Packet,
  { cmd: 'unsubscribe', messageId: 5, unsubscriptions: ['a'] },
  {
    cmd: 'connect',
    clientId: 'c',
    protocolVersion: 5,
    clean: true,
    keepalive: 5,
    protocolId: 'MQTT',
  } as Packet,
]

/** One packet of every type in both versions, each alone and all in sequence. */
export const PACKET_SEEDS: readonly Buffer[] = [5, 4].flatMap((protocolVersion) => {
  const each = PACKETS.filter((packet) => protocolVersion === 5 || packet.cmd !== 'auth').map((packet) =>
    generate(packet, { protocolVersion }),
  )
  return [...each, Buffer.concat(each.slice(2, 8)), Buffer.concat([each[0]!, ...each.slice(3)])]
})

/** Returns a successful CONNACK without properties. */
export function plainConnack(protocolVersion: 4 | 5): Buffer {
  return Buffer.from(protocolVersion === 5 ? [0x20, 3, 0, 0, 0] : [0x20, 2, 0, 0])
}

/** Property identifiers with the beginning of a value, and numbers that are special in MQTT. */
export const PACKET_DICTIONARY: readonly Buffer[] = tokens(
  [0x01, 0x01],
  [0x02, 0, 0, 0, 0],
  [0x03, 0, 0],
  [0x08, 0, 1, 0x61],
  [0x09, 0, 1, 0xff],
  [0x0b, 0x80, 0x01],
  [0x21, 0, 0],
  [0x22, 0, 5],
  [0x23, 0, 1],
  [0x24, 0],
  [0x27, 0, 0, 0, 0],
  [0x1f, 0, 1, 0x72],
  [0x26, 0, 1, 0x61, 0, 1, 0x62],
  [0x13, 0, 0],
  [0x2a, 0],
  [0x11, 0xff, 0xff, 0xff, 0xff],
  [0xff, 0xff, 0xff, 0x7f],
  [0xff, 0xff, 0xff, 0xff],
  [0x80, 0x00],
  [0x30, 0x03, 0, 1, 0x61],
  [0xd0, 0],
  '__proto__',
  '\u0000',
  '+/#',
)

interface Piece {
  readonly head: number
  readonly body: Buffer
}

const PIECES_MAX = 16

/** Mutates whole packets: their order, their number, and the content of one packet, whose length is corrected. */
export function mutatePackets(input: Buffer, random: Random): Buffer {
  const pieces = piecesOf(input)
  const at = random.below(pieces.length)
  switch (random.below(5)) {
    case 0:
      pieces.splice(at, 0, ...piecesOf(random.pick(PACKET_SEEDS)))
      break
    case 1:
      pieces.push(pieces[at]!)
      break
    case 2:
      pieces[at] = { head: (random.below(16) << 4) | (pieces[at]!.head & 15), body: pieces[at]!.body }
      break
    default:
      pieces[at] = { head: pieces[at]!.head, body: changedBody(pieces[at]!.body, random) }
  }
  return Buffer.concat(
    pieces.slice(0, PIECES_MAX).flatMap(({ head, body }) => [headerOf(head, body.length), body]),
  )
}

function changedBody(body: Buffer, random: Random): Buffer {
  const at = random.below(body.length + 1)
  const added = random.next() < 0.5 ? random.pick(PACKET_DICTIONARY) : Buffer.from([random.below(256)])
  switch (random.below(4)) {
    case 0:
      return Buffer.concat([body.subarray(0, at), added, body.subarray(at)])
    case 1:
      return Buffer.concat([body.subarray(0, at), body.subarray(at + 1 + random.below(4))])
    case 2:
      return body.subarray(0, at)
    default: {
      const changed = Buffer.from(body)
      if (at < changed.length) changed[at] = random.next() < 0.5 ? changed[at]! + 1 : random.below(256)
      return changed
    }
  }
}

function piecesOf(bytes: Buffer): Piece[] {
  const pieces: Piece[] = []
  let offset = 0
  while (offset + 1 < bytes.length && pieces.length < PIECES_MAX) {
    let length = 0
    let position = offset + 1
    for (let shift = 0; shift < 28 && position < bytes.length; shift += 7) {
      const byte = bytes[position++]!
      length |= (byte & 0x7f) << shift
      if (byte < 0x80) break
    }
    const body = bytes.subarray(position, position + length)
    pieces.push({ head: bytes[offset]!, body })
    offset = position + length
  }
  return pieces.length === 0 ? [{ head: 0x30, body: Buffer.from([0, 1, 0x61, 0]) }] : pieces
}

function headerOf(head: number, length: number): Buffer {
  const bytes = [head]
  let rest = length
  do {
    bytes.push(rest > 0x7f ? (rest & 0x7f) | 0x80 : rest)
    rest >>>= 7
  } while (rest > 0)
  return Buffer.from(bytes)
}

// The tap on planted conversations: each line of a conversation is one packet, judged as if it had come over the wire.
import mqttPacket, { type Packet } from 'mqtt-packet'
import { expect, test } from 'vitest'
import { TapCourtroom } from './tap.ts'
import type { Violation } from './tap-judge.ts'

const RULES = {
  requestRoots: ['infer/request/'],
  replyRoots: ['infer/reply/'],
  ownTopics: ['infer/status/one', 'dead/'],
}

type Said = readonly ['broker' | 'connector', Packet]

function publish(topic: string, messageId: number, correlation: string, properties = {}): Packet {
  const correlationData = Buffer.from(correlation)
  return {
    cmd: 'publish',
    topic,
    messageId,
    qos: 1,
    dup: false,
    retain: false,
    payload: 'x',
    properties: { correlationData, ...properties },
  }
}
const request = (id: number, correlation: string, properties = {}): Said => [
  'broker',
  publish('infer/request/a/m', id, correlation, properties),
]
const reply = (id: number, correlation: string, topic = 'infer/reply/a/m'): Said => [
  'connector',
  publish(topic, id, correlation),
]
const puback = (who: 'broker' | 'connector', messageId: number): Said => [who, { cmd: 'puback', messageId }]
const connack = (properties = {}): Said => [
  'broker',
  { cmd: 'connack', sessionPresent: false, reasonCode: 0, properties } as Packet,
]

// Every connection is a list; bytes come in pieces of three, as no parser likes them.
function violationsIn(...connections: readonly Said[][]): string[] {
  const court = new TapCourtroom(RULES)
  for (const connection of connections) {
    const judge = court.nextJudge()
    for (const [who, packet] of connection) {
      const bytes = mqttPacket.generate(packet, { protocolVersion: 5 })
      for (let at = 0; at < bytes.length; at += 3) {
        if (who === 'broker') judge.fromServer(bytes.subarray(at, at + 3))
        else judge.fromClient(bytes.subarray(at, at + 3))
      }
    }
  }
  return court.violations.map(({ rule }: Violation) => rule)
}

test('has nothing against reply, its PUBACK, and then the PUBACK of the request', () => {
  const good = [request(1, 'k'), reply(9, 'k'), puback('broker', 9), puback('connector', 1)]
  expect(violationsIn([connack(), ...good])).toEqual([])
})

test('sees a PUBACK before the reply, and before its PUBACK', () => {
  expect(violationsIn([connack(), request(1, 'k'), puback('connector', 1)])).toEqual(['ack-before-reply'])
  expect(violationsIn([connack(), request(1, 'k'), reply(9, 'k'), puback('connector', 1)])).toEqual([
    'ack-before-reply',
  ])
})

test("does not take another request's reply for this one's", () => {
  const twins = [request(1, 'k'), request(2, 'l'), reply(9, 'l'), puback('broker', 9), puback('connector', 1)]
  expect(violationsIn([connack(), ...twins])).toEqual(['ack-before-reply'])
})

test('wants a reply for each delivery of the same request', () => {
  const twice = [request(1, 'k'), request(2, 'k'), reply(9, 'k'), puback('broker', 9)]
  const both = [
    ...twice,
    reply(10, 'k'),
    puback('broker', 10),
    puback('connector', 1),
    puback('connector', 2),
  ]
  expect(violationsIn([connack(), ...twice, puback('connector', 1), puback('connector', 2)])).toEqual([
    'ack-before-reply',
  ])
  expect(violationsIn([connack(), ...both])).toEqual([])
})

test('finds the reply on the Response Topic', () => {
  const elsewhere = 'infer/reply/a/elsewhere'
  const asked = request(1, 'k', { responseTopic: elsewhere })
  expect(
    violationsIn([connack(), asked, reply(9, 'k', elsewhere), puback('broker', 9), puback('connector', 1)]),
  ).toEqual([])
})

test('lets an expired request go without a reply', () => {
  const expired = request(1, 'k', { messageExpiryInterval: 0 })
  expect(violationsIn([connack(), expired, puback('connector', 1)])).toEqual([])
})

test('lets a cancellation go without a reply', () => {
  const cancel: Said = ['broker', publish('infer/cancel/a/m', 1, 'k')]
  expect(violationsIn([connack(), cancel, puback('connector', 1)])).toEqual([])
})

test('sees PUBACKs that leave in another order', () => {
  const answered = [
    request(1, 'k'),
    request(2, 'l'),
    reply(8, 'k'),
    reply(9, 'l'),
    puback('broker', 8),
    puback('broker', 9),
  ]
  expect(violationsIn([connack(), ...answered, puback('connector', 2), puback('connector', 1)])).toEqual([
    'ack-order',
  ])
})

test('sees a PUBACK for what is not open, and knows one of an earlier connection', () => {
  expect(violationsIn([connack(), puback('connector', 7)])).toEqual(['ack-unknown'])
  expect(violationsIn([connack(), request(7, 'k')], [connack(), puback('connector', 7)])).toEqual([
    'ack-stale-epoch',
  ])
})

test('sees a publish where the connector has no business', () => {
  const allowed: Said[] = [reply(1, 'k', 'infer/status/one'), reply(2, 'k', 'dead/letter')]
  expect(violationsIn([connack(), ...allowed, reply(3, 'k', 'infer/status/two')])).toEqual(['foreign-topic'])
})

test('sees more and larger publishes than the broker takes', () => {
  const many = [connack({ receiveMaximum: 1 }), reply(1, 'k'), reply(2, 'l')]
  expect(violationsIn(many)).toEqual(['receive-maximum'])
  expect(violationsIn([connack({ maximumPacketSize: 20 }), reply(1, 'k')])).toEqual(['packet-too-large'])
})

test('takes no notice of a packet that was cut', () => {
  const court = new TapCourtroom(RULES)
  const judge = court.nextJudge()
  const bytes = mqttPacket.generate(reply(1, 'k', 'elsewhere')[1], { protocolVersion: 5 })
  judge.fromClient(bytes.subarray(0, bytes.length - 1))
  expect(court.violations).toEqual([])
})

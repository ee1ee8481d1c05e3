// Tests that malformed packets from the broker end the connection, and cause no exception in the socket's handler.
import { Duplex } from 'node:stream'
import { expect, test } from 'vitest'
import type { BrokerLimits } from './broker-limits.ts'
import { Connection } from './connection.ts'
import type { ReceivedDelivery } from './delivery.ts'
import { MalformedPacket } from './malformed.ts'
import { feed } from './testing/feed.ts'

const CONNACK = [0x20, 3, 0, 0, 0]

interface Received {
  readonly closed: Promise<Error>
  readonly sent: Buffer[]
  readonly limits: BrokerLimits[]
  readonly deliveries: ReceivedDelivery[]
}

function receive(bytes: readonly number[]): Received {
  const sent: Buffer[] = []
  const limits: BrokerLimits[] = []
  const deliveries: ReceivedDelivery[] = []
  const stream = new Duplex({
    read: () => {},
    write: (chunk: Buffer, _encoding, done) => {
      sent.push(Buffer.from(chunk))
      done()
    },
  })
  const connect = {
    protocolVersion: 5 as const,
    clientId: 'c',
    username: undefined,
    password: undefined,
    keepAliveSeconds: 30,
    sessionExpirySeconds: 300,
    receiveMaximum: 65_535,
    will: { topic: 'infer/status/c', payload: '{}', retain: true, delaySeconds: 0 },
  }
  const connection = new Connection(
    { stream, onBytes: (sink) => void stream.on('data', (bytes: Buffer) => feed(sink, bytes)) },
    { connect, ackOrder: { epoch: 1, holdMaxMs: Number.POSITIVE_INFINITY }, frameBytesMax: () => 1024 },
    {
      connected: (_connection, given) => limits.push(given),
      delivered: (delivery) => deliveries.push(delivery),
      acknowledged: () => {},
    },
  )
  stream.push(Buffer.from(bytes))
  return { closed: connection.closed, sent, limits, deliveries }
}

test.each([
  ['a Response Topic that runs past its packet', [...CONNACK, 0x30, 7, 0, 1, 0x61, 3, 8, 0, 5]],
  [
    'a DISCONNECT with two Reason Strings',
    [...CONNACK, 0xe0, 10, 0x8e, 8, 0x1f, 0, 1, 0x61, 0x1f, 0, 1, 0x62],
  ],
  ['a DISCONNECT whose Reason String runs past its packet', [...CONNACK, 0xe0, 5, 0x8e, 3, 0x1f, 0, 5]],
  ['a PUBLISH with QoS 2', [...CONNACK, 0x34, 6, 0, 1, 0x61, 0, 1, 0]],
  ['an empty CONNACK', [0x20, 0]],
  ['a CONNACK with nothing but flags', [0x20, 1, 0]],
  ['a Receive Maximum of 0', [0x20, 6, 0, 0, 3, 0x21, 0, 0]],
  ['a Receive Maximum that is cut off', [0x20, 5, 0, 0, 2, 0x21, 7]],
  ['two Receive Maximums', [0x20, 9, 0, 0, 6, 0x21, 0, 5, 0x21, 0, 6]],
  ['a Maximum QoS of 7', [0x20, 5, 0, 0, 2, 0x24, 7]],
  ['a Maximum Packet Size of 0', [0x20, 8, 0, 0, 5, 0x27, 0, 0, 0, 0]],
])('ends the connection as malformed after %s', async (_what, bytes) => {
  const { closed, sent, deliveries } = receive(bytes)
  expect(await closed).toBeInstanceOf(MalformedPacket)
  // The last packet is DISCONNECT 0x81 (malformed packet).
  expect(sent.at(-1)?.subarray(0, 3).toString('hex')).toMatch(/^e0..81$/)
  expect(deliveries).toEqual([])
})

test('delivers a PUBLISH that follows CONNACK in the same segment', async () => {
  const connack = [0x20, 6, 1, 0, 3, 0x21, 0, 9]
  const publish = [0x32, 7, 0, 1, 0x61, 0, 7, 0, 0x62]
  const disconnect = [0xe0, 2, 0x8e, 0]
  const { closed, limits, deliveries } = receive([...connack, ...publish, ...disconnect])
  expect((await closed).message).toContain('Another client took over')
  expect(limits).toEqual([expect.objectContaining({ sessionPresent: true, receiveMaximum: 9 })])
  expect(deliveries.map(({ topic, packetId, payload }) => [topic, packetId, payload.toString()])).toEqual([
    ['a', 7, 'b'],
  ])
})

test('ignores a resent PUBLISH, but delivers a new message with the same Packet Identifier', async () => {
  const [first, again, second] = [
    [0x32, 7, 0, 1, 0x61, 0, 7, 0, 0x62],
    [0x3a, 7, 0, 1, 0x61, 0, 7, 0, 0x62],
    [0x32, 7, 0, 1, 0x61, 0, 7, 0, 0x63],
  ] as const
  const bytes = [...CONNACK, ...first, ...again, ...second]
  const { closed, deliveries, sent } = receive([...bytes, 0xe0, 2, 0x8b, 0])
  await closed
  expect(deliveries.map(({ payload, dup }) => [payload.toString(), dup])).toEqual([
    ['b', false],
    ['c', false],
  ])
  // The connection has ended: nothing is acknowledged.
  for (const delivery of deliveries) delivery.settle()
  expect(sent).toHaveLength(1)
})

// Tests that malformed and forbidden packets do not reach the broker.
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { generate, type Packet } from 'mqtt-packet'
import { startBroker, type Broker } from './index.ts'
import { guardPackets } from './packet-guard.ts'
import { connectPacket, RawClient } from './testing/raw-client.ts'

let broker: Broker
let witness: RawClient
const lines: string[] = []

beforeAll(async () => {
  broker = await startBroker('embedded', { mqttPort: 0, wsPort: 0, log: (line) => lines.push(line) })
  witness = await RawClient.connect(broker.url)
})
afterAll(() => broker.close())

// Reason codes: 0x81 malformed, 0x82 protocol error, 0x8f filter, 0x90 topic name, 0x94 alias, 0x95 too large.
test.each([
  ['a Response Topic that is longer than the packet', '30 07 00 01 61 03 08 00 05', 0x81],
  ['Correlation Data that is longer than the packet', '30 07 00 01 61 03 09 00 05', 0x81],
  ['a user property that is longer than the packet', '30 0a 00 01 61 06 26 00 01 62 00 05', 0x81],
  ['properties that are longer than the packet', '30 05 00 01 61 7f 01', 0x81],
  ['a property that is longer than the properties', '30 09 00 01 61 03 08 00 02 62 62', 0x81],
  ['a Property Length of five bytes', '30 09 00 01 61 80 80 80 80 01 00', 0x81],
  ['an unknown property', '30 06 00 01 61 02 7e 00', 0x81],
  ['a Subscription Identifier in PUBLISH', '30 06 00 01 61 02 0b 05', 0x81],
  ['two Response Topics', '30 0c 00 01 61 08 08 00 01 62 08 00 01 63', 0x82],
  ['a Payload Format Indicator of 2', '30 06 00 01 61 02 01 02', 0x82],
  ['a Response Topic with a wildcard', '30 08 00 01 61 04 08 00 01 23', 0x90],
  ['an empty Response Topic', '30 07 00 01 61 03 08 00 00', 0x82],
  ['a topic that is longer than the packet', '30 03 00 05 61', 0x81],
  ['an empty topic', '30 03 00 00 00', 0x82],
  ['a topic with a wildcard', '30 06 00 03 61 2f 2b 00', 0x90],
  ['a topic that is not UTF-8', '30 05 00 02 c3 28 00', 0x81],
  ['a topic with a surrogate', '30 06 00 03 ed a0 80 00', 0x81],
  ['a topic with U+0000', '30 06 00 03 61 00 62 00', 0x81],
  ['a Topic Alias', '30 07 00 01 61 03 23 00 01', 0x94],
  ['QoS 3', '36 06 00 01 61 00 01 00', 0x81],
  ['DUP with QoS 0', '38 04 00 01 61 00', 0x81],
  ['Packet Identifier 0', '32 06 00 01 61 00 00 00', 0x82],
  ['a QoS 1 PUBLISH without Packet Identifier', '32 03 00 01 61', 0x81],
  ['a Remaining Length of five bytes', '30 ff ff ff ff 01', 0x81],
  ['a PUBLISH with a Remaining Length of 256 MB', '30 ff ff ff 7f', 0x95],
  ['PUBACK without Packet Identifier', '40 00', 0x81],
  ['PUBREL with reserved flags', '60 02 00 01', 0x81],
  ['PUBACK with a Server Reference', '40 06 00 01 00 03 1c 00 00', 0x81],
  ['SUBSCRIBE without filters', '82 03 00 01 00', 0x82],
  ['SUBSCRIBE with reserved flags', '80 07 00 01 00 00 01 61 00', 0x81],
  ['SUBSCRIBE without options', '82 06 00 01 00 00 01 61', 0x81],
  ['SUBSCRIBE with Retain Handling 3', '82 07 00 01 00 00 01 61 30', 0x81],
  ['SUBSCRIBE with QoS 3', '82 07 00 01 00 00 01 61 03', 0x81],
  ['Subscription Identifier 0', '82 09 00 01 02 0b 00 00 01 61 00', 0x82],
  ['two Subscription Identifiers', '82 0b 00 01 04 0b 01 0b 02 00 01 61 00', 0x82],
  ['an empty filter', '82 06 00 01 00 00 00 00', 0x8f],
  ['a filter with + inside a level', '82 08 00 01 00 00 02 61 2b 00', 0x8f],
  ['a filter with # before the end', '82 09 00 01 00 00 03 23 2f 61 00', 0x8f],
  ['a shared subscription without a filter', '82 0d 00 01 00 00 07 24 73 68 61 72 65 2f 67 00', 0x8f],
  ['a shared subscription with an empty name', '82 0f 00 01 00 00 09 24 73 68 61 72 65 2f 2f 61 00', 0x8f],
  ['a wildcard as the share name', '82 10 00 01 00 00 0a 24 73 68 61 72 65 2f 2b 2f 61 00', 0x8f],
  ['No Local on a shared subscription', '82 10 00 01 00 00 0a 24 73 68 61 72 65 2f 67 2f 61 05', 0x82],
  ['UNSUBSCRIBE without filters', 'a2 03 00 01 00', 0x82],
  ['PINGREQ with a payload', 'c0 01 00', 0x81],
  ['DISCONNECT with half a property', 'e0 03 00 01 11', 0x81],
  ['AUTH', 'f0 02 00 00', 0x82],
  ['CONNACK', '20 03 00 00 00', 0x82],
  ['packet type 0', '00 00', 0x82],
  ['a second CONNECT', generate(connectPacket()), 0x82],
])('closes a connection that sends %s', async (_what, bytes, reasonCode) => {
  lines.length = 0
  const client = await RawClient.connect(broker.url, { clientId: 'broken' })
  client.send(bytes)
  expect((await client.next('disconnect')).reasonCode).toBe(reasonCode)
  await client.closed()
  expect(lines).toEqual([
    expect.stringMatching(/^MQTT: the connection of client "broken" from .* was closed: ./),
  ])
  expect(await witness.payloads()).toEqual([])
})

test('sends the rest of a large packet before it sends DISCONNECT', async () => {
  const client = await RawClient.connect(broker.url)
  await client.subscribe('own', { qos: 0 })
  const payload = Buffer.alloc(1_000_000, 'x')
  const publish: Packet = { cmd: 'publish', topic: 'own', payload, qos: 0, retain: false, dup: false }
  client.send(publish, '00 00')
  expect((await client.next('disconnect')).reasonCode).toBe(0x82)
  expect((await client.next('publish')).payload).toHaveLength(1_000_000)
})

test.each([
  ['PUBLISH', '30 04 00 01 61 00'],
  ['PINGREQ', 'c0 00'],
  ['an empty CONNECT', '10 00'],
  ['a CONNECT with a Remaining Length of 1 MB', '10 80 80 40'],
  ['HTTP', Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')],
  ['TLS', '16 03 01 02 00 01 00 01 fc 03 03'],
  [
    'an MQTT 3.1.1 CONNECT with a wildcard in the Will Topic',
    '10 14 00 04 4d 51 54 54 04 06 00 00 00 01 77 00 01 23 00 01 78 00',
  ],
  [
    'an MQTT 3.1.1 CONNECT with a password but no user name',
    '10 10 00 04 4d 51 54 54 04 42 00 00 00 01 77 00 01 78',
  ],
])('closes a connection that begins with %s', async (_what, bytes) => {
  const client = await RawClient.open(broker.url)
  client.send(bytes)
  await client.closed()
  expect(client.take()).toEqual([])
  expect(await witness.payloads()).toEqual([])
})

test.each([
  ['6', '10 0d 00 04 4d 51 54 54 06 02 00 00 00 00 00', { returnCode: 1 }],
  [
    '5 with a malformed property',
    '10 10 00 04 4d 51 54 54 05 02 00 00 03 11 00 00 00 00',
    { reasonCode: 0x81 },
  ],
  ['5 with Receive Maximum 0', '10 10 00 04 4d 51 54 54 05 02 00 00 03 21 00 00 00 00', { reasonCode: 0x82 }],
])(
  'sends a reason code in CONNACK when it refuses a CONNECT of protocol level %s',
  async (_what, bytes, connack) => {
    const client = await RawClient.open(broker.url, 'returnCode' in connack ? 4 : 5)
    client.send(bytes)
    expect(await client.next('connack')).toMatchObject(connack)
    await client.closed()
  },
)

// Mosquitto's limit is 200 topic level separators.
const DEEP = Array.from({ length: 201 }, () => 'a').join('/')

test.each([5, 4] as const)(
  'accepts topics with 201 levels (protocol version %d)',
  async (protocolVersion) => {
    const will = { topic: DEEP, payload: Buffer.from('x'), qos: 1 as const, retain: false }
    const client = await RawClient.connect(broker.url, { protocolVersion, will })
    expect(await client.subscribe(DEEP)).toBe(1)
    client.send({
      cmd: 'publish',
      topic: DEEP,
      payload: 'deep',
      qos: 1,
      messageId: 7,
      retain: false,
      dup: false,
    })
    await client.next('puback')
    expect(await client.payloads()).toEqual(['deep'])
  },
)

test.each([
  [
    'topic name',
    { cmd: 'publish', topic: `${DEEP}/a`, payload: '', qos: 0, retain: false, dup: false },
    0x90,
  ],
  [
    'Response Topic',
    {
      cmd: 'publish',
      topic: 'a',
      payload: '',
      qos: 0,
      retain: false,
      dup: false,
      properties: { responseTopic: `${DEEP}/a` },
    },
    0x90,
  ],
  ['topic filter', { cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: `${DEEP}/#`, qos: 1 }] }, 0x8f],
  ['topic filter', { cmd: 'unsubscribe', messageId: 1, unsubscriptions: [`${DEEP}/a`] }, 0x8f],
] as [string, Packet, number][])(
  'if a %s has more than 201 levels, refuses it with a reason code and a log line',
  async (what, packet, code) => {
    lines.length = 0
    const client = await RawClient.connect(broker.url, { clientId: 'deep' })
    client.send(packet)
    expect((await client.next('disconnect')).reasonCode).toBe(code)
    await client.closed()
    expect(lines).toEqual([expect.stringContaining(`${what} has more than 200 topic level separators`)])
  },
)

test('if a Will Topic has more than 201 levels, refuses the client with a reason code in CONNACK', async () => {
  const will = { topic: `${DEEP}/a`, payload: Buffer.from('x'), qos: 1 as const, retain: false }
  await expect(RawClient.connect(broker.url, { will })).rejects.toThrow('CONNACK 144')
})

// 65,535 bytes are the most that MQTT allows for these fields.
test('accepts a Will with a payload and Correlation Data of 65,535 bytes', async () => {
  await witness.subscribe('large/will')
  const will = { topic: 'large/will', payload: Buffer.alloc(65_535, 'x'), qos: 1 as const, retain: false }
  const properties = { correlationData: Buffer.alloc(65_535, 'y') }
  const client = await RawClient.connect(broker.url, { will: { ...will, properties } })
  await client.destroy()
  const { payload, properties: got } = await witness.next('publish')
  expect([payload.length, got?.correlationData?.length]).toEqual([65_535, 65_535])
})

// MQTT 5 §3.1.4: a client may send packets before CONNACK.
test('holds back all packets after CONNECT until CONNACK has been sent', async () => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve))
  const client = await RawClient.open(`mqtt://127.0.0.1:${port}`)
  const socket = await accepted
  const stream = guardPackets(socket)
  const next = async (): Promise<Buffer> => (await once(stream, 'data'))[0] as Buffer
  const payload = Buffer.alloc(20_000_000)
  client.send(connectPacket(), { cmd: 'publish', topic: 'a', payload, qos: 0, retain: false, dup: false })
  expect((await next())[0]).toBe(0x10)
  const timer = setInterval(() => stream.read(), 1)
  client.send({ cmd: 'pingreq' })
  // Without the guard, everything would have been read by now.
  await new Promise((resolve) => setTimeout(resolve, 200))
  clearInterval(timer)
  expect(socket.bytesRead).toBeLessThan(1_000_000)
  stream.write(generate({ cmd: 'connack', reasonCode: 0, sessionPresent: false }, { protocolVersion: 5 }))
  expect((await next()).length).toBeGreaterThan(20_000_000)
  await client.destroy()
  server.close()
})

test('ignores packets after DISCONNECT', async () => {
  await witness.subscribe('after')
  const client = await RawClient.connect(broker.url)
  client.send('e0 00', '30 08 00 05 61 66 74 65 72 00')
  await client.closed()
  expect(await witness.payloads()).toEqual([])
})

test('assembles a packet that arrives byte by byte, and splits a segment into many packets', async () => {
  const client = await RawClient.connect(broker.url)
  await client.subscribe('bytes')
  const packet = generate(
    { cmd: 'publish', topic: 'bytes', payload: 'x', qos: 0, dup: false, retain: false },
    { protocolVersion: 5 },
  )
  for (const byte of packet) {
    client.send(Buffer.from([byte]))
    await new Promise((resolve) => setImmediate(resolve))
  }
  expect((await client.next('publish')).payload.toString()).toBe('x')
  client.send(...Array.from({ length: 100 }, () => packet))
  for (let index = 0; index < 100; index++) await client.next('publish')
})

test('accepts a payload of 20 MB', async () => {
  const client = await RawClient.connect(broker.url)
  await client.subscribe('large')
  const payload = Buffer.alloc(20_000_000, 'abc')
  client.send({ cmd: 'publish', topic: 'large', payload, qos: 1, messageId: 5, dup: false, retain: false })
  expect(payload.equals((await client.next('publish')).payload as Buffer)).toBe(true)
})

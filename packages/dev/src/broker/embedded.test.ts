// Tests the embedded broker with MQTT clients.
import { createServer } from 'node:net'
import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt'
import type { Packet } from 'mqtt-packet'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { startBroker, type Broker } from './index.ts'
import { RawClient } from './testing/raw-client.ts'
import { runProgram } from './testing/run-program.ts'

let broker: Broker
let lines: string[]
const closers: (() => unknown)[] = []

beforeEach(async () => {
  lines = []
  broker = await startBroker('embedded', { mqttPort: 0, wsPort: 0, log: (line) => lines.push(line) })
})
afterEach(async () => {
  for (const close of closers.splice(0)) await close()
  await broker.close()
})

async function mqttClient(options: IClientOptions = {}, url = broker.url): Promise<MqttClient> {
  const client = await connectAsync(url, { protocolVersion: 5, reconnectPeriod: 0, ...options })
  closers.push(() => client.endAsync(true))
  return client
}

function nextMessage(client: MqttClient): Promise<Extract<Packet, { cmd: 'publish' }>> {
  return new Promise((resolve) => client.once('message', (_topic, _payload, packet) => resolve(packet)))
}

function raw(options: Parameters<typeof RawClient.connect>[1] = {}): Promise<RawClient> {
  return RawClient.connect(broker.url, options)
}

function publish(topic: string, payload: string, more: object = {}): Packet {
  return { cmd: 'publish', topic, payload, qos: 1, messageId: 7, retain: false, dup: false, ...more }
}

test('forwards a request and its reply with every MQTT 5 property', async () => {
  const responder = await mqttClient()
  const requester = await mqttClient()
  await responder.subscribeAsync('request/#', { qos: 1 })
  await requester.subscribeAsync('reply/#', { qos: 1 })
  const properties = {
    responseTopic: 'reply/me',
    correlationData: Buffer.from([0x00, 0xff]),
    contentType: 'application/json',
    messageExpiryInterval: 30,
    payloadFormatIndicator: true,
    userProperties: { b: '2', a: ['1', 'ü'] },
  }
  const request = nextMessage(responder)
  await requester.publishAsync('request/1', '{}', { qos: 1, properties })
  expect((await request).properties).toEqual(properties)
  const reply = nextMessage(requester)
  const { correlationData } = (await request).properties!
  await responder.publishAsync('reply/me', Buffer.from([0, 255]), {
    qos: 1,
    properties: { correlationData: correlationData! },
  })
  expect(await reply).toMatchObject({ topic: 'reply/me', payload: Buffer.from([0, 255]), qos: 1 })
  expect((await reply).properties!.correlationData).toEqual(Buffer.from([0x00, 0xff]))
})

test('supports mosquitto_rr, which sends a request and waits for the response', async () => {
  const responder = await mqttClient()
  await responder.subscribeAsync('ask', { qos: 1 })
  responder.on('message', (_topic, payload, { properties }) => {
    responder.publish(properties!.responseTopic!, `you said ${payload.toString()}`, { qos: 1 })
  })
  const { hostname, port } = new URL(broker.url)
  const common = ['-h', hostname, '-p', port, '-V', '5', '-q', '1', '-W', '5']
  const reply = await runProgram('mosquitto_rr', [...common, '-t', 'ask', '-e', 'answer', '-m', 'hello'])
  expect(reply.toString()).toBe('you said hello\n')
})

test('supports MQTT 3.1.1, including mosquitto_pub', async () => {
  const subscriber = await mqttClient({ protocolVersion: 4 })
  await subscriber.subscribeAsync('old', { qos: 1 })
  const message = nextMessage(subscriber)
  const { hostname, port } = new URL(broker.url)
  await runProgram('mosquitto_pub', [
    '-h',
    hostname,
    '-p',
    port,
    '-V',
    '311',
    '-q',
    '1',
    '-t',
    'old',
    '-m',
    'x',
  ])
  expect(await message).toMatchObject({ payload: Buffer.from('x'), qos: 1 })
})

test('supports WebSocket clients with large payloads', async () => {
  const client = await mqttClient({}, broker.wsUrl!)
  await client.subscribeAsync('ws', { qos: 1 })
  const message = nextMessage(client)
  const payload = Buffer.alloc(3_000_000, 'ab')
  await client.publishAsync('ws', payload, { qos: 1 })
  expect(payload.equals((await message).payload as Buffer)).toBe(true)
})

test('sends retained messages to a new subscription, except with Retain Handling 2', async () => {
  const publisher = await raw()
  publisher.send(publish('card', 'v1', { retain: true }))
  await publisher.next('puback')
  const subscriber = await raw()
  await subscriber.subscribe('card')
  expect(await subscriber.next('publish')).toMatchObject({ payload: Buffer.from('v1'), retain: true })
  await subscriber.subscribe('card', { rh: 2, rap: true })
  publisher.send(publish('card', 'v2', { retain: true }))
  expect(await subscriber.next('publish')).toMatchObject({ payload: Buffer.from('v2'), retain: true })
  publisher.send(publish('card', '', { retain: true }))
  expect((await subscriber.next('publish')).payload.toString()).toBe('')
  const late = await raw()
  await late.subscribe('card')
  expect(await late.payloads()).toEqual([])
})

test('loses no message that is sent immediately before or after a retained message', async () => {
  const subscriber = await raw()
  await subscriber.subscribe('#')
  const publisher = await raw()
  publisher.send(
    publish('a', 'retained', { qos: 0, retain: true }),
    publish('a', 'plain', { qos: 0 }),
    publish('a', 'last', { qos: 0, retain: true }),
  )
  const got = [
    await subscriber.next('publish'),
    await subscriber.next('publish'),
    await subscriber.next('publish'),
  ]
  expect(got.map(({ payload }) => payload.toString())).toEqual(['retained', 'plain', 'last'])
})

test('publishes the Will when a connection breaks, but not after DISCONNECT', async () => {
  const subscriber = await raw()
  await subscriber.subscribe('will')
  const will = { topic: 'will', payload: Buffer.from('gone'), qos: 1 as const, retain: false }
  const polite = await raw({ will })
  polite.send({ cmd: 'disconnect', reasonCode: 0 })
  await polite.closed()
  expect(await subscriber.payloads()).toEqual([])
  await (await raw({ will })).destroy()
  expect((await subscriber.next('publish')).payload.toString()).toBe('gone')
})

test('responds with 0x10 to an MQTT 5 publisher when there is no matching subscriber', async () => {
  const publisher = await raw()
  publisher.send(publish('unread', 'x'))
  expect((await publisher.next('puback')).reasonCode).toBe(0x10)
  await (await raw()).subscribe('unread')
  publisher.send(publish('unread', 'x'), publish('other', 'x', { messageId: 8 }))
  expect(await publisher.next('puback')).toMatchObject({ messageId: 7, reasonCode: 0 })
  expect(await publisher.next('puback')).toMatchObject({ messageId: 8, reasonCode: 0x10 })
})

test("does not send packets larger than the client's Maximum Packet Size", async () => {
  const subscriber = await raw({ properties: { maximumPacketSize: 50 } })
  await subscriber.subscribe('size')
  const publisher = await raw()
  publisher.send(publish('size', 'x'.repeat(100)), publish('size', 'small'))
  expect((await subscriber.next('publish')).payload.toString()).toBe('small')
})

test('retains at most 10,000 messages, and logs when the limit is reached', async () => {
  const publisher = await raw()
  for (let index = 0; index <= 10_000; index++) {
    publisher.send(publish(`many/${index}`, 'x', { qos: 0, retain: true }))
  }
  await publisher.payloads()
  expect(lines).toEqual([expect.stringContaining('10000 messages')])
  // A retained message can still be replaced, and the removal of a retained message makes room for a new one.
  publisher.send(
    publish('many/1', 'changed', { qos: 0, retain: true }),
    publish('many/2', '', { qos: 0, retain: true }),
    publish('many/new', 'x', { qos: 0, retain: true }),
  )
  await publisher.payloads()
  expect(lines).toHaveLength(1)
  const late = await raw()
  await late.subscribe('many/1')
  await late.subscribe('many/new')
  expect(await late.payloads()).toEqual(['changed', 'x'])
})

// MQTT 5 §3.3.4, §3.8.3.1.
test('sends one copy for overlapping subscriptions, with the highest QoS and every Subscription Identifier', async () => {
  const subscriber = await raw()
  for (const [topic, qos, subscriptionIdentifier] of [
    ['over/#', 0, 2],
    ['over/lap', 1, 3],
    ['+/lap', 0, 268_435_455],
  ] as const) {
    const subscription = { topic, qos, nl: false, rap: false, rh: 0 }
    const properties = { subscriptionIdentifier }
    subscriber.send({ cmd: 'subscribe', messageId: 4, properties, subscriptions: [subscription] })
    await subscriber.next('suback')
  }
  const publisher = await raw()
  publisher.send(publish('over/lap', 'x', { qos: 2 }))
  const message = await subscriber.next('publish')
  expect(message.qos).toBe(1)
  expect(new Set(message.properties!.subscriptionIdentifier as number[])).toEqual(
    new Set([2, 3, 268_435_455]),
  )
  expect(await subscriber.payloads()).toEqual([])
})

test('refuses publishes to $ topics without closing the connection', async () => {
  const witness = await raw({ clientId: 'witness' })
  const client = await raw()
  client.send(publish('$SYS/other/new/clients', 'witness'))
  expect((await client.next('puback')).reasonCode).toBe(0x87)
  client.send(publish('$SYS/other/new/clients', 'witness', { qos: 0 }))
  expect(await client.payloads()).toEqual([])
  const old = await raw({ protocolVersion: 4 })
  await old.subscribe('$SYS/#')
  old.send(publish('$SYS/other/new/clients', 'witness'))
  await old.next('puback')
  expect(await old.payloads()).toEqual([])
  expect(await witness.payloads()).toEqual([])
  expect(lines.join('\n')).toContain('clients may not publish to $ topics')
})

test.each([
  [5, 135],
  [4, 5],
] as const)(
  'refuses a Will on a $ topic: a client with protocol version %i receives CONNACK %i',
  async (protocolVersion, code) => {
    const will = { topic: '$SYS/x/new/clients', payload: Buffer.from('x'), qos: 0 as const, retain: false }
    await expect(raw({ protocolVersion, will })).rejects.toThrow(`CONNACK ${code}`)
  },
)

// Every plain object inherits members with these names.
test.each(['constructor', '__proto__', 'toString'])('accepts the client identifier %s', async (clientId) => {
  const client = await raw({ clientId })
  expect(await client.payloads()).toEqual([])
  await client.destroy()
  expect(await (await raw({ clientId })).payloads()).toEqual([])
})

test.each(['constructor', 'hasOwnProperty', '__proto__'])(
  'handles the topic %s like any other topic',
  async (topic) => {
    const client = await raw()
    client.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: [topic] })
    expect((await client.next('unsuback')).granted).toEqual([0x11])
    expect(await client.subscribe(topic)).toBe(1)
    client.send(publish(topic, 'x'))
    expect(await client.next('publish')).toMatchObject({ qos: 1 })
  },
)

test('handles many packets from a client that does not wait for CONNACK', async () => {
  const client = await RawClient.open(broker.url)
  const connect: Packet = {
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: 5,
    clientId: '',
    clean: true,
    keepalive: 0,
  }
  const packets = Array.from({ length: 200 }, () => publish('early', 'x', { qos: 0 }))
  const subscribe: Packet = { cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'early', qos: 0 }] }
  client.send(connect, subscribe, ...packets, { cmd: 'pingreq' })
  await client.next('pingresp')
  expect(client.isClosed).toBe(false)
})

test('responds to every PUBREL, even to a second PUBREL for the same message', async () => {
  const client = await raw()
  const pubrel: Packet = { cmd: 'pubrel', messageId: 7, reasonCode: 0 }
  client.send(publish('q2', 'x', { qos: 2 }))
  await client.next('pubrec')
  client.send(pubrel, pubrel)
  await client.next('pubcomp')
  await client.next('pubcomp')
})

test('one subscriber that reads nothing does not delay others', async () => {
  const stuck = await raw()
  await stuck.subscribe('#')
  stuck.pause()
  const subscriber = await raw()
  await subscriber.subscribe('big')
  const publisher = await raw()
  for (let index = 0; index < 20; index++) {
    publisher.send(publish('big', 'x'.repeat(1_000_000)))
    await subscriber.next('publish')
  }
  expect(await publisher.payloads()).toEqual([])
})

test('on shutdown, sends DISCONNECT 0x8B and closes every connection, even if a client reads nothing', async () => {
  const client = await raw()
  const stuck = await raw()
  stuck.pause()
  const webSocket = await mqttClient({}, broker.wsUrl!)
  const webSocketClosed = new Promise<void>((resolve) => webSocket.once('close', () => resolve()))
  const startedAtMs = performance.now()
  await broker.close()
  expect(performance.now() - startedAtMs).toBeLessThan(5_000)
  expect((await client.next('disconnect')).reasonCode).toBe(0x8b)
  await client.closed()
  await webSocketClosed
  await stuck.destroy()
})

test('if a port is in use, reports the port and the option that changes it', async () => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await expect(startBroker('embedded', { mqttPort: port, wsPort: 0 })).rejects.toMatchObject({
    name: 'PortTakenError',
    port,
    option: '--mqtt-port',
    message: expect.stringContaining('--mqtt-port 0') as string,
  })
  await expect(startBroker('embedded', { mqttPort: 0, wsPort: port })).rejects.toMatchObject({
    port,
    option: '--ws-port',
  })
  server.close()
})

test('listens on loopback only', async () => {
  await expect(startBroker('embedded', { host: '0.0.0.0', mqttPort: 0, wsPort: 0 })).rejects.toThrow(
    'listens on loopback only',
  )
})

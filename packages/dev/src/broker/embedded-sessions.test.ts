// What the embedded broker keeps for a client that is away.
import { generate, type Packet } from 'mqtt-packet'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { startBroker, type Broker } from './index.ts'
import { RawClient } from './testing/raw-client.ts'

let broker: Broker
let lines: string[]

beforeEach(async () => {
  lines = []
  broker = await startBroker('embedded', { mqttPort: 0, wsPort: 0, log: (line) => lines.push(line) })
})
afterEach(() => broker.close())

function raw(options: Parameters<typeof RawClient.connect>[1] = {}): Promise<RawClient> {
  return RawClient.connect(broker.url, options)
}

function publish(topic: string, payload: string, more: object = {}): Packet {
  return { cmd: 'publish', topic, payload, qos: 1, messageId: 7, retain: false, dup: false, ...more }
}

test('keeps QoS 1 messages of a session that is away, in order, and says Session Present', async () => {
  const session = { clientId: 'away', clean: false, properties: { sessionExpiryInterval: 60 } }
  const before = await raw(session)
  await before.subscribe('queue/#')
  await before.destroy()
  const publisher = await raw()
  for (const payload of ['1', '2', '3']) {
    publisher.send(publish('queue/a', payload))
    expect(await publisher.next('puback')).toMatchObject({ reasonCode: 0 })
  }
  const after = await RawClient.open(broker.url)
  after.send({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 5, keepalive: 0, ...session })
  expect((await after.next('connack')).sessionPresent).toBe(true)
  const payloads = [await after.next('publish'), await after.next('publish'), await after.next('publish')]
  expect(payloads.map(({ payload, dup }) => [payload.toString(), dup])).toEqual([
    ['1', false],
    ['2', false],
    ['3', false],
  ])
})

test('drops what does not fit into the queue of a session that is away, and says so once', async () => {
  const session = { clientId: 'full', clean: false, properties: { sessionExpiryInterval: 60 } }
  const before = await raw(session)
  await before.subscribe('full')
  await before.destroy()
  const publisher = await raw()
  const packet = generate(publish('full', 'x'), { protocolVersion: 5 })
  publisher.send(...Array.from({ length: 10_005 }, () => packet))
  await publisher.payloads()
  expect(lines).toEqual([expect.stringContaining('the queue of client "full" is full (10000 messages')])
  const after = await raw(session)
  for (let count = 0; count < 10_000; count++) {
    const { messageId } = await after.next('publish')
    after.send({ cmd: 'puback', messageId: messageId!, reasonCode: 0 })
  }
  expect(await after.payloads()).toEqual([])
  publisher.send(publish('full', 'next'))
  expect((await after.next('publish')).payload.toString()).toBe('next')
})

test('sets DUP when it sends an unacknowledged message again, and only then', async () => {
  const session = { clientId: 'slow', clean: false, properties: { sessionExpiryInterval: 60 } }
  const before = await raw(session)
  await before.subscribe('work')
  const publisher = await raw()
  publisher.send(publish('work', 'x', { dup: true }))
  expect((await before.next('publish')).dup).toBe(false)
  await before.destroy()
  const after = await raw(session)
  const again = await after.next('publish')
  expect(again.dup).toBe(true)
  after.send({ cmd: 'puback', messageId: again.messageId!, reasonCode: 0 })
  await after.payloads()
  await after.destroy()
  expect(await (await raw(session)).payloads()).toEqual([])
})

test('says how long a queued message still lives, and drops one that expired', async () => {
  const session = { clientId: 'late', clean: false, properties: { sessionExpiryInterval: 60 } }
  const before = await raw(session)
  await before.subscribe('late')
  await before.destroy()
  const publisher = await raw()
  publisher.send(publish('late', 'short', { properties: { messageExpiryInterval: 1 } }))
  publisher.send(publish('late', 'long', { properties: { messageExpiryInterval: 30 } }))
  // The unit of the protocol is a second: nothing but time makes a message expire.
  await new Promise((resolve) => setTimeout(resolve, 1_100))
  const message = await (await raw(session)).next('publish')
  expect(message.payload.toString()).toBe('long')
  expect(message.properties!.messageExpiryInterval).toBeLessThan(30)
})

test('counts a session that is away as somebody who gets the message', async () => {
  const away = await raw({ clientId: 'a', clean: false, properties: { sessionExpiryInterval: 60 } })
  await away.subscribe('away')
  await away.destroy()
  const publisher = await raw()
  publisher.send(publish('away', 'x'))
  expect((await publisher.next('puback')).reasonCode).toBe(0)
})

test('does not cut a persistent session off that unsubscribes while messages flow', async () => {
  const subscriber = await raw({
    clientId: 'leaving',
    clean: false,
    properties: { sessionExpiryInterval: 60 },
  })
  await subscriber.subscribe('flow')
  const publisher = await raw()
  const burst = Array.from({ length: 500 }, () => publish('flow', 'x'))
  publisher.send(...burst)
  subscriber.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['flow'] })
  publisher.send(...burst)
  await subscriber.next('unsuback')
  await publisher.payloads()
  await subscriber.payloads()
  expect(subscriber.isClosed).toBe(false)
})

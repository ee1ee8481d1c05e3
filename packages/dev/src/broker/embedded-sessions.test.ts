// Tests the sessions of disconnected clients on the embedded broker.
import { generate } from 'mqtt-packet'
import { expect, test } from 'vitest'
import { brokerPerTest, publishPacket } from './testing/broker-per-test.ts'
import { connectPacket, RawClient } from './testing/raw-client.ts'

const broker = brokerPerTest()

test('queues QoS 1 messages for a disconnected session in order, and sets Session Present', async () => {
  const session = { clientId: 'away', clean: false, properties: { sessionExpiryInterval: 60 } }
  const before = await broker.connect(session)
  await before.subscribe('queue/#')
  await before.destroy()
  const publisher = await broker.connect()
  for (const payload of ['1', '2', '3']) {
    publisher.send(publishPacket('queue/a', payload))
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

test('when the queue of a disconnected session is full, drops further messages and logs this once', async () => {
  const session = { clientId: 'full', clean: false, properties: { sessionExpiryInterval: 60 } }
  const before = await broker.connect(session)
  await before.subscribe('full')
  await before.destroy()
  const publisher = await broker.connect()
  const packet = generate(publishPacket('full', 'x'), { protocolVersion: 5 })
  publisher.send(...Array.from({ length: 10_005 }, () => packet))
  await publisher.payloads()
  expect(broker.lines).toEqual([
    expect.stringContaining('the queue of client "full" is full (10000 messages'),
  ])
  const after = await broker.connect(session)
  for (let count = 0; count < 10_000; count++) {
    const { messageId } = await after.next('publish')
    after.send({ cmd: 'puback', messageId: messageId!, reasonCode: 0 })
  }
  expect(await after.payloads()).toEqual([])
  publisher.send(publishPacket('full', 'next'))
  expect((await after.next('publish')).payload.toString()).toBe('next')
})

test.each([1, 2] as const)(
  'responds with 0x97 to a QoS %d message when the queues of all subscribers are full',
  async (qos) => {
    const away = await broker.connect({ clientId: 'full', properties: { sessionExpiryInterval: 60 } })
    await away.subscribe('full', { qos: 2 })
    await away.destroy()
    const publisher = await broker.connect()
    const packet = generate(publishPacket('full', 'x'), { protocolVersion: 5 })
    publisher.send(...Array.from({ length: 10_000 }, () => packet))
    await publisher.payloads()
    const answer = qos === 1 ? 'puback' : 'pubrec'
    // Every attempt receives the same response, because the broker keeps no state for the message.
    for (let count = 0; count < 2; count++) {
      publisher.send(publishPacket('full', 'above', { qos }))
      expect((await publisher.next(answer)).reasonCode).toBe(0x97)
    }
    await (await broker.connect()).subscribe('full')
    publisher.send(publishPacket('full', 'one of two', { qos, messageId: 8 }))
    expect((await publisher.next(answer)).reasonCode).toBe(0)
  },
)

test.each([0, 1, 2] as const)(
  'delivers no message whose Message Expiry Interval is 0 (QoS %d)',
  async (qos) => {
    const client = await broker.connect()
    await client.subscribe('now', { qos: 2 })
    client.send(publishPacket('now', 'x', { qos, properties: { messageExpiryInterval: 0 } }))
    expect(await client.payloads()).toEqual([])
  },
)

test('sets DUP only when it resends an unacknowledged message', async () => {
  const session = { clientId: 'slow', clean: false, properties: { sessionExpiryInterval: 60 } }
  const before = await broker.connect(session)
  await before.subscribe('work')
  const publisher = await broker.connect()
  publisher.send(publishPacket('work', 'x', { dup: true }))
  expect((await before.next('publish')).dup).toBe(false)
  await before.destroy()
  const after = await broker.connect(session)
  const again = await after.next('publish')
  expect(again.dup).toBe(true)
  after.send({ cmd: 'puback', messageId: again.messageId!, reasonCode: 0 })
  await after.payloads()
  await after.destroy()
  expect(await (await broker.connect(session)).payloads()).toEqual([])
})

test('sends the remaining Message Expiry Interval of a queued message, and drops an expired message', async () => {
  const session = { clientId: 'late', clean: false, properties: { sessionExpiryInterval: 60 } }
  const before = await broker.connect(session)
  await before.subscribe('late')
  await before.destroy()
  const publisher = await broker.connect()
  publisher.send(publishPacket('late', 'short', { properties: { messageExpiryInterval: 1 } }))
  publisher.send(publishPacket('late', 'long', { properties: { messageExpiryInterval: 30 } }))
  // One second is the shortest expiry interval that the protocol allows.
  await new Promise((resolve) => setTimeout(resolve, 1_100))
  const message = await (await broker.connect(session)).next('publish')
  expect(message.payload.toString()).toBe('long')
  expect(message.properties!.messageExpiryInterval).toBeLessThan(30)
})

test('counts a disconnected session as a matching subscriber', async () => {
  const away = await broker.connect({
    clientId: 'a',
    clean: false,
    properties: { sessionExpiryInterval: 60 },
  })
  await away.subscribe('away')
  await away.destroy()
  const publisher = await broker.connect()
  publisher.send(publishPacket('away', 'x'))
  expect((await publisher.next('puback')).reasonCode).toBe(0)
})

test('does not disconnect a client that unsubscribes from a persistent session while messages arrive', async () => {
  const subscriber = await broker.connect({
    clientId: 'leaving',
    clean: false,
    properties: { sessionExpiryInterval: 60 },
  })
  await subscriber.subscribe('flow')
  const publisher = await broker.connect()
  const burst = Array.from({ length: 500 }, () => publishPacket('flow', 'x'))
  publisher.send(...burst)
  subscriber.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['flow'] })
  publisher.send(...burst)
  await subscriber.next('unsuback')
  await publisher.payloads()
  await subscriber.payloads()
  expect(subscriber.isClosed).toBe(false)
})

// MQTT 5 §3.1.2.11.2: the Session Expiry Interval in a CONNECT is counted from the end of that connection. The
// messages that are already queued therefore still belong to the resumed session.
test.each([
  ['5', { clean: false }],
  ['3.1.1', { clean: false, protocolVersion: 4 as const }],
])(
  'delivers queued messages to a client that resumes its session without a Session Expiry Interval (MQTT %s)',
  async (_version, options) => {
    const before = await broker.connect({ clientId: 'back', properties: { sessionExpiryInterval: 60 } })
    await before.subscribe('back/#', { qos: 2 })
    before.send({ cmd: 'disconnect', reasonCode: 0 })
    await before.closed()
    const publisher = await broker.connect()
    publisher.send(
      publishPacket('back/1', 'qos 1'),
      publishPacket('back/2', 'qos 2', { qos: 2, messageId: 8 }),
    )
    await publisher.next('puback')
    await publisher.next('pubrec')
    const after = await broker.connect({ clientId: 'back', ...options })
    expect([await after.next('publish'), await after.next('publish')]).toMatchObject([
      { payload: Buffer.from('qos 1'), qos: 1 },
      { payload: Buffer.from('qos 2'), qos: 2 },
    ])
  },
)

test('ends a session after its Session Expiry Interval', async () => {
  const options = { clientId: 'short', clean: false, properties: { sessionExpiryInterval: 1 } }
  const before = await broker.connect(options)
  await before.subscribe('short')
  await before.destroy()
  const publisher = await broker.connect()
  const hasSubscriber = async (): Promise<boolean> => {
    publisher.send(publishPacket('short', 'x'))
    return (await publisher.next('puback')).reasonCode === 0
  }
  expect(await hasSubscriber()).toBe(true)
  await expect.poll(hasSubscriber, { timeout: 3_000 }).toBe(false)
  expect(await (await broker.connect(options)).payloads()).toEqual([])
})

test('applies the Session Expiry Interval of DISCONNECT, unless the interval in CONNECT was 0', async () => {
  const session = { clientId: 'longer', clean: false }
  const before = await broker.connect({ ...session, properties: { sessionExpiryInterval: 60 } })
  await before.subscribe('longer')
  before.send({ cmd: 'disconnect', reasonCode: 0, properties: { sessionExpiryInterval: 0 } })
  await before.closed()
  const publisher = await broker.connect()
  publisher.send(publishPacket('longer', 'x'))
  expect((await publisher.next('puback')).reasonCode).toBe(0x10)
  const after = await broker.connect(session)
  after.send({ cmd: 'disconnect', reasonCode: 0, properties: { sessionExpiryInterval: 60 } })
  expect((await after.next('disconnect')).reasonCode).toBe(0x82)
})

// Receive Maximum: MQTT 5 §3.1.2.11.3, §4.9.
test.each([1, 2] as const)(
  'has no more unacknowledged QoS %d messages in flight than the Receive Maximum allows',
  async (qos) => {
    const session = { clientId: 'few', clean: false }
    const properties = { sessionExpiryInterval: 60, receiveMaximum: 2 }
    const few = await broker.connect({ ...session, properties })
    await few.subscribe('few', { qos: 2 })
    const publisher = await broker.connect()
    for (const payload of ['1', '2', '3', '4']) {
      publisher.send(publishPacket('few', payload, { qos, messageId: Number(payload) }))
    }
    await publisher.payloads()
    const first = await few.next('publish')
    expect(await few.payloads()).toEqual(['2'])
    const messageId = first.messageId!
    if (qos === 1) few.send({ cmd: 'puback', messageId, reasonCode: 0 })
    else {
      few.send({ cmd: 'pubrec', messageId, reasonCode: 0 })
      await few.next('pubrel')
      // The broker sends the next message after PUBCOMP, not after PUBREC.
      expect(await few.payloads()).toEqual([])
      few.send({ cmd: 'pubcomp', messageId, reasonCode: 0 })
    }
    expect(await few.payloads()).toEqual(['3'])
    // On a new connection, resent messages come first and count against Receive Maximum too.
    await few.destroy()
    const again = await broker.connect({ ...session, properties: { ...properties, receiveMaximum: 1 } })
    const [repeated] = [await again.next('publish')]
    expect(repeated).toMatchObject({ payload: Buffer.from('2'), dup: true })
    expect(await again.payloads()).toEqual([])
  },
)

test("disconnects a client that exceeds the broker's Receive Maximum with QoS 2 messages", async () => {
  const client = await RawClient.open(broker.url)
  client.send(connectPacket())
  const { receiveMaximum = 65_535 } = (await client.next('connack')).properties ?? {}
  for (let messageId = 1; messageId <= receiveMaximum + 1; messageId++) {
    client.send(publishPacket('much', '', { qos: 2, messageId }))
  }
  expect((await client.next('disconnect')).reasonCode).toBe(0x93)
})

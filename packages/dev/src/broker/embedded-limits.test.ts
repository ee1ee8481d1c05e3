// Tests the embedded broker's limits, and its responses to a client that exceeds a limit.
import type { Packet } from 'mqtt-packet'
import { expect, test } from 'vitest'
import { brokerPerTest, publishPacket } from './testing/broker-per-test.ts'

const broker = brokerPerTest()

function publish(topic: string, payload: string, more: object = {}): Packet {
  return publishPacket(topic, payload, { qos: 0, ...more })
}

function subscribe(topics: readonly string[]): Packet {
  const subscriptions = topics.map((topic) => ({ topic, qos: 1 as const, nl: false, rap: false, rh: 0 }))
  return { cmd: 'subscribe', messageId: 1, subscriptions }
}

function times<Value>(count: number, make: (index: number) => Value): Value[] {
  return Array.from({ length: count }, (_, index) => make(index))
}

test.each([
  [5, 0x97],
  [4, 0x80],
] as const)(
  'grants one session 10,000 subscriptions and refuses further ones (protocol version %d)',
  async (protocolVersion, code) => {
    const client = await broker.connect({ clientId: 'many', protocolVersion })
    client.send(subscribe(times(10_000, (index) => `a/${index}`)))
    expect((await client.next('suback')).granted).not.toContain(code)
    client.send(subscribe(['a/7', 'new/1', 'new/2']))
    expect((await client.next('suback')).granted).toEqual([1, code, code])
    client.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['a/8'] })
    await client.next('unsuback')
    client.send(subscribe(['new/1']))
    expect((await client.next('suback')).granted).toEqual([1])
    expect(broker.lines).toEqual([
      expect.stringContaining('client "many": a SUBSCRIBE exceeds the subscription limit'),
    ])
  },
)

test('refuses a subscription if all subscriptions together would exceed a memory limit', async () => {
  const [first, second] = [await broker.connect(), await broker.connect()]
  first.send(subscribe(times(10_000, (index) => `${index}${'/'.repeat(200)}`)))
  const { granted } = await first.next('suback')
  expect(granted.slice(0, 100)).toEqual(times(100, () => 1))
  expect(granted.at(-1)).toBe(0x97)
  second.send(subscribe([`a${'/'.repeat(200)}`]))
  expect((await second.next('suback')).granted).toEqual([0x97])
  // The sessions share one memory limit. The memory of a session becomes available to the other sessions when the
  // session ends.
  await first.destroy()
  await second.payloads()
  second.send(subscribe([`a${'/'.repeat(200)}`]))
  expect((await second.next('suback')).granted).toEqual([1])
})

test('serves other clients while it searches retained messages for 10,000 filters', async () => {
  const publisher = await broker.connect()
  publisher.send(...times(5_000, (index) => publish(`${index}/b/c/d/e`, 'x', { retain: true })))
  await publisher.payloads()
  const client = await broker.connect()
  client.send(subscribe(times(10_000, (index) => `+/b/c/d/${index}`)))
  await client.next('suback')
  const startedAtMs = performance.now()
  expect(await publisher.payloads()).toEqual([])
  expect(performance.now() - startedAtMs).toBeLessThan(2_000)
  // The search for another client also makes progress.
  const late = await broker.connect()
  late.send(subscribe(['+/b/c/d/e', '4999/#', '$SYS/#', '4998/b/c/d/e/#']))
  for (let count = 0; count < 100; count++) await late.next('publish')
})

test('stops searching retained messages when it is closed', async () => {
  const client = await broker.connect()
  client.send(...times(5_000, (index) => publish(`${index}/b/c/d/e`, 'x', { retain: true })))
  await client.payloads()
  client.send(subscribe(times(10_000, (index) => `+/b/c/d/${index}`)))
  await client.next('suback')
  expect(process.getActiveResourcesInfo()).toContain('Immediate')
  await broker.close()
  await expect.poll(() => process.getActiveResourcesInfo()).not.toContain('Immediate')
})

test.each([
  ['#', ['a', 'a/b', 'a/b/c', 'b']],
  ['+', ['a', 'b']],
  ['a/#', ['a', 'a/b', 'a/b/c']],
  ['a/+', ['a/b']],
  ['+/+/#', ['a/b', 'a/b/c']],
  ['a/b/c', ['a/b/c']],
  ['a/b/c/+', []],
  ['/#', []],
])('finds the retained messages that the filter %s matches', async (filter, topics) => {
  const client = await broker.connect()
  client.send(...['a', 'a/b', 'a/b/c', 'b'].map((topic) => publish(topic, topic, { retain: true })))
  await client.subscribe(filter)
  expect((await client.payloads()).sort()).toEqual(topics)
})

test('removes expired retained messages when the limit on retained messages is reached', async () => {
  const client = await broker.connect()
  const properties = { messageExpiryInterval: 1 }
  client.send(...times(10_000, (index) => publish(`r/${index}`, 'x', { retain: true, properties })))
  await client.payloads()
  // One second is the shortest expiry interval that the protocol allows.
  await new Promise((resolve) => setTimeout(resolve, 1_100))
  client.send(publish('card', 'v1', { retain: true, qos: 1 }))
  expect((await client.next('puback')).reasonCode).toBe(0)
  await client.subscribe('card')
  expect(await client.payloads()).toEqual(['v1'])
  expect(broker.lines).toEqual([])
})

test('responds with 0x97 to a message that it cannot retain, and keeps the previous retained message', async () => {
  const client = await broker.connect()
  const big = Buffer.alloc(63 * 1024 * 1024)
  client.send(publish('card', 'old', { retain: true, qos: 1 }))
  await client.next('puback')
  for (const topic of ['1', '2', '3', '4']) {
    client.send(publish(topic, '', { payload: big, retain: true, qos: 1 }))
    expect((await client.next('puback')).reasonCode).toBe(0)
  }
  const large = big.subarray(0, 5 * 1024 * 1024)
  client.send(publish('card', '', { payload: large, retain: true, qos: 1 }))
  expect((await client.next('puback')).reasonCode).toBe(0x97)
  // Every attempt receives the same response, because the broker keeps no state for the message.
  for (let count = 0; count < 2; count++) {
    client.send(publish('card', '', { payload: large, retain: true, qos: 2 }))
    expect((await client.next('pubrec')).reasonCode).toBe(0x97)
  }
  expect(broker.lines).toEqual([expect.stringContaining('5 messages with')])
  await client.subscribe('card')
  expect(await client.payloads()).toEqual(['old'])
})

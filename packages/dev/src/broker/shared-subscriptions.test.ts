// Tests the shared subscriptions of the embedded broker (MQTT 5 §4.8.2).
import type { Packet } from 'mqtt-packet'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { startBroker, type Broker } from './index.ts'
import { RawClient } from './testing/raw-client.ts'

let broker: Broker
let publisher: RawClient

beforeEach(async () => {
  broker = await startBroker('embedded', { mqttPort: 0, wsPort: 0 })
  publisher = await raw()
})
afterEach(() => broker.close())

function raw(options: Parameters<typeof RawClient.connect>[1] = {}): Promise<RawClient> {
  return RawClient.connect(broker.url, options)
}

async function publish(payload: string, more: object = {}): Promise<void> {
  const packet = { cmd: 'publish', topic: 'work/1', payload, qos: 1, messageId: 7, retain: false, dup: false }
  publisher.send({ ...packet, ...more } as Packet)
  await publisher.next('puback')
}

function publishQos2(payload: string, messageId: number): Packet {
  return { cmd: 'publish', topic: 'work/1', payload, qos: 2, messageId, retain: false, dup: false }
}

test.each([5, 4] as const)(
  'delivers each message to one member, in turn (protocol version %d)',
  async (protocolVersion) => {
    const members = [await raw({ protocolVersion }), await raw({ protocolVersion })]
    for (const member of members) expect(await member.subscribe('$share/group/work/#')).toBe(1)
    const other = await raw()
    await other.subscribe('$share/other/work/#')
    const plain = await raw()
    await plain.subscribe('work/#')
    for (const payload of ['1', '2', '3', '4']) await publish(payload)
    const [first, second] = [await members[0]!.payloads(), await members[1]!.payloads()]
    expect([first.length, second.length]).toEqual([2, 2])
    expect([...first, ...second].sort()).toEqual(['1', '2', '3', '4'])
    expect(await other.payloads()).toEqual(['1', '2', '3', '4'])
    expect(await plain.payloads()).toEqual(['1', '2', '3', '4'])
  },
)

test('prefers a member that can receive the message at once', async () => {
  const session = { clientId: 'away', clean: false, properties: { sessionExpiryInterval: 60 } }
  const away = await raw(session)
  await away.subscribe('$share/group/work/#')
  await away.destroy()
  const busy = await raw({ properties: { receiveMaximum: 1 } })
  await busy.subscribe('$share/group/work/#')
  await publish('first')
  await busy.next('publish')
  const free = await raw()
  await free.subscribe('$share/group/work/#')
  for (const payload of ['1', '2', '3']) await publish(payload)
  expect(await free.payloads()).toEqual(['1', '2', '3'])
})

test('queues messages for a disconnected member if there is no other member', async () => {
  const session = { clientId: 'away', clean: false, properties: { sessionExpiryInterval: 60 } }
  const away = await raw(session)
  await away.subscribe('$share/group/work/#')
  await away.destroy()
  await publish('waits')
  expect(await (await raw(session)).payloads()).toEqual(['waits'])
})

test('delivers unacknowledged messages to another member when a session ends', async () => {
  const leaving = await raw()
  await leaving.subscribe('$share/group/work/#')
  await publish('1')
  await leaving.next('publish')
  const staying = await raw()
  await staying.subscribe('$share/group/work/#')
  await leaving.destroy()
  expect((await staying.next('publish')).payload.toString()).toBe('1')
})

// MQTT 5 [MQTT-4.8.2-5].
test('when a session ends, delivers its QoS 2 messages to another member if they were not sent yet', async () => {
  const leaving = await raw({ properties: { receiveMaximum: 1 } })
  await leaving.subscribe('$share/group/work/#', { qos: 2 })
  for (const messageId of [1, 2, 3]) {
    publisher.send(publishQos2(String(messageId), messageId))
    await publisher.next('pubrec')
  }
  expect(await leaving.payloads()).toEqual(['1'])
  const staying = await raw()
  await staying.subscribe('$share/group/work/#', { qos: 2 })
  await leaving.destroy()
  const arrived = [await staying.next('publish'), await staying.next('publish')]
  expect(arrived.map(({ payload }) => payload.toString())).toEqual(['2', '3'])
  expect(await staying.payloads()).toEqual([])
})

test('sends no retained messages to a shared subscription', async () => {
  await publish('kept', { retain: true })
  const member = await raw()
  await member.subscribe('$share/group/work/#')
  expect(await member.payloads()).toEqual([])
})

test('delivers nothing after UNSUBSCRIBE', async () => {
  const member = await raw()
  await member.subscribe('$share/group/work/#')
  member.send({
    cmd: 'unsubscribe',
    messageId: 2,
    unsubscriptions: ['$share/group/work/#', '$share/b/work/#'],
  })
  expect((await member.next('unsuback')).granted).toEqual([0, 0x11])
  await publish('1')
  expect(await member.payloads()).toEqual([])
})

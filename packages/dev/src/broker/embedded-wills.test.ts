// Tests the timing and content of the Wills that the embedded broker publishes (MQTT 5 §3.1.2.5, §3.1.3.2).
import type { IConnectPacket } from 'mqtt-packet'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { startBroker, type Broker } from './index.ts'
import { RawClient } from './testing/raw-client.ts'

let broker: Broker
let watcher: RawClient

beforeEach(async () => {
  broker = await startBroker('embedded', { mqttPort: 0, wsPort: 0 })
  watcher = await raw()
  await watcher.subscribe('will/#')
})
afterEach(() => broker.close())

function raw(options: Parameters<typeof RawClient.connect>[1] = {}): Promise<RawClient> {
  return RawClient.connect(broker.url, options)
}

function will(willDelayInterval: number): NonNullable<IConnectPacket['will']> {
  const properties = {
    willDelayInterval,
    contentType: 'text/plain',
    messageExpiryInterval: 60,
    userProperties: { a: '2', c: '3' },
  }
  return { topic: 'will/a', payload: Buffer.from('gone'), qos: 1, retain: true, properties }
}

// MQTT 5 table 2-4: property 0x18 is allowed only in the Will Properties. A client disconnects if a PUBLISH
// contains this property.
test.each([0, 1])(
  'if the Will Delay Interval is %d, omits it from the PUBLISH and from the retained message',
  async (delay) => {
    const client = await raw({
      clientId: 'a',
      will: will(delay),
      properties: { sessionExpiryInterval: 60 },
    })
    await client.destroy()
    const properties = {
      contentType: 'text/plain',
      messageExpiryInterval: 60,
      userProperties: { a: '2', c: '3' },
    }
    expect((await watcher.next('publish')).properties).toEqual(properties)
    const late = await raw()
    await late.subscribe('will/#')
    expect(await late.next('publish')).toMatchObject({
      retain: true,
      properties: { contentType: 'text/plain' },
    })
    late.send({ cmd: 'pingreq' })
    await late.next('pingresp')
  },
)

test('publishes the Will and sends DISCONNECT 0x8D when Keep Alive times out', async () => {
  const client = await raw({ keepalive: 1, will: will(0) })
  expect((await watcher.next('publish')).payload.toString()).toBe('gone')
  expect((await client.next('disconnect')).reasonCode).toBe(0x8d)
})

test.each([
  ['its delay has passed', 1, 60],
  ['the session ends before the delay has passed', 60, 1],
  ['the session ends with the connection', 60, 0],
])('publishes the Will exactly once if %s', async (_when, delay, sessionExpiryInterval) => {
  const client = await raw({ clientId: 'a', will: will(delay), properties: { sessionExpiryInterval } })
  await client.destroy()
  expect((await watcher.next('publish')).payload.toString()).toBe('gone')
  expect(await watcher.payloads()).toEqual([])
})

test('publishes no Will when the client reconnects before the delay has passed', async () => {
  const session = { clientId: 'a', clean: false, properties: { sessionExpiryInterval: 60 } }
  const client = await raw({ ...session, will: will(1) })
  await client.destroy()
  await raw(session)
  // One second is the shortest delay that the protocol allows.
  await new Promise((resolve) => setTimeout(resolve, 1_200))
  expect(await watcher.payloads()).toEqual([])
})

// MQTT 5 §3.1.4: Clean Start ends the old session, and with it the delay of the Will.
test('publishes a delayed Will when the client reconnects with Clean Start', async () => {
  const client = await raw({ clientId: 'a', will: will(60), properties: { sessionExpiryInterval: 60 } })
  await client.destroy()
  await raw({ clientId: 'a', clean: true })
  expect((await watcher.next('publish')).payload.toString()).toBe('gone')
})

test('publishes the Will of a connection when its session is taken over', async () => {
  const client = await raw({ clientId: 'a', will: will(0) })
  await raw({ clientId: 'a' })
  expect((await client.next('disconnect')).reasonCode).toBe(0x8e)
  expect((await watcher.next('publish')).payload.toString()).toBe('gone')
})

test('publishes the Will after DISCONNECT 0x04', async () => {
  const client = await raw({ will: will(0) })
  client.send({ cmd: 'disconnect', reasonCode: 4 })
  expect((await watcher.next('publish')).payload.toString()).toBe('gone')
})

// Tests the broker's limits with smaller values than those that embedded.ts sets.
import { createServer, type Server } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { MqttBroker, nameOf } from './mqtt-broker.ts'
import { guardPackets } from './packet-guard.ts'
import { connectPacket, RawClient } from './testing/raw-client.ts'

let server: Server
let broker: MqttBroker
let url: string
let lines: string[]

beforeEach(async () => {
  lines = []
  broker = new MqttBroker({
    packetBytesMax: 1_000_000,
    sessionsMax: 2,
    connectTimeoutMs: 1_000,
    unsentBytesMax: 16_000_000,
    unsentPacketsMax: 3_000,
    drainTimeoutMs: 1_000,
    access: undefined,
    log: (line) => lines.push(line),
  })
  server = createServer((socket) => broker.serve(guardPackets(socket, { highWaterMarkBytes: 8_000_000 })))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  url = `mqtt://127.0.0.1:${port}`
})
afterEach(() => {
  broker.close()
  server.close()
})

test.each([
  [5, 0x97],
  [4, 3],
] as const)(
  'refuses with a reason code a client whose session would exceed the limit (protocol version %d)',
  async (protocolVersion, code) => {
    const properties = { sessionExpiryInterval: 60 }
    const away = await RawClient.connect(url, { clientId: 'away', properties })
    await away.subscribe('queued')
    await away.destroy()
    const ending = await RawClient.connect(url, { clientId: 'ending' })
    ending.send({
      cmd: 'publish',
      topic: 'queued',
      payload: '',
      qos: 1,
      messageId: 7,
      retain: false,
      dup: false,
    })
    await ending.next('puback')
    const connect = (clientId: string): Promise<RawClient> =>
      RawClient.connect(url, { clientId, protocolVersion })
    await expect(connect('third')).rejects.toThrow(`CONNACK ${code}`)
    expect(lines).toEqual(['MQTT: client "third": the limit of 2 sessions is reached'])
    expect((await connect('away')).isClosed).toBe(false)
    ending.send({ cmd: 'disconnect', reasonCode: 0 })
    await ending.closed()
    expect((await connect('third')).isClosed).toBe(false)
  },
)

test('makes room for a new client by ending the longest-disconnected session that has no messages', async () => {
  const properties = { sessionExpiryInterval: 60 }
  const isResumed = async (clientId: string): Promise<boolean | undefined> => {
    const client = await RawClient.open(url)
    client.send(connectPacket({ clientId, clean: false, properties }))
    const { sessionPresent } = await client.next('connack')
    await client.destroy()
    return sessionPresent
  }
  for (const clientId of ['first', 'second', 'third']) expect(await isResumed(clientId)).toBe(false)
  expect(lines).toEqual([expect.stringContaining('Ended the session of client "first"')])
  expect(await isResumed('second')).toBe(true)
  expect(await isResumed('third')).toBe(true)
  // Now "second" has been disconnected longest.
  expect(await isResumed('first')).toBe(false)
  expect(await isResumed('third')).toBe(true)
})

test('escapes the control characters of a client identifier in the log', () => {
  expect(nameOf('\u009b31m\u202e\n')).toBe('client "\\u{9b}31m\\u{202e}\\n"')
})

test('closes a connection that does not send CONNECT in time', async () => {
  const client = await RawClient.open(url)
  await client.closed()
  expect(lines).toEqual(['MQTT: a client without CONNECT: CONNECT did not arrive in time'])
})

test('disconnects a client that reads nothing, and keeps its unsent messages', async () => {
  const session = { clientId: 'stuck', clean: false, properties: { sessionExpiryInterval: 60 } }
  const stuck = await RawClient.connect(url, session)
  await stuck.subscribe('big', { qos: 1 })
  stuck.pause()
  const publisher = await RawClient.connect(url)
  const payload = 'x'.repeat(200_000)
  const count = 100
  for (let index = 0; index < count; index++) {
    publisher.send({ cmd: 'publish', topic: 'big', payload, qos: 1, messageId: 7, retain: false, dup: false })
  }
  await expect.poll(() => lines, { timeout: 5_000 }).toEqual([expect.stringContaining('reads too slowly')])
  await publisher.payloads()
  const back = await RawClient.connect(url, session)
  for (let index = 0; index < count; index++) {
    const { messageId = 0 } = await back.next('publish')
    back.send({ cmd: 'puback', messageId, reasonCode: 0 })
  }
  expect(await back.payloads()).toEqual([])
})

// The number of unsent packets is limited too, because a small packet needs far more memory than its size.
test('disconnects a client that leaves many small packets unread', async () => {
  const stuck = await RawClient.connect(url, { clientId: 'stuck' })
  await stuck.subscribe('small', { qos: 0 })
  stuck.pause()
  const publisher = await RawClient.connect(url)
  const payload = 'x'.repeat(100)
  while (lines.length === 0) {
    for (let index = 0; index < 1_000; index++) {
      publisher.send({ cmd: 'publish', topic: 'small', payload, qos: 0, retain: false, dup: false })
    }
    publisher.send({ cmd: 'pingreq' })
    await publisher.next('pingresp')
  }
  expect(lines).toEqual([
    expect.stringContaining('client "stuck": the client reads too slowly: 3001 packets with'),
  ])
  expect(await publisher.payloads()).toEqual([])
})

test('does not disconnect a client that reads slowly, and delivers every QoS 1 message', async () => {
  const slow = await RawClient.connect(url, { clientId: 'slow' })
  await slow.subscribe('big', { qos: 1 })
  slow.readSlowly(6_000_000)
  const publisher = await RawClient.connect(url)
  const payload = 'x'.repeat(200_000)
  const count = 120
  for (let index = 0; index < count; index++) {
    publisher.send({ cmd: 'publish', topic: 'big', payload, qos: 1, messageId: 7, retain: false, dup: false })
  }
  // The client needs 1.3 seconds to read the full buffer of 8 MB. The timeout is one second.
  for (let index = 0; index < count; index++) {
    const { messageId = 0 } = await slow.next('publish')
    slow.send({ cmd: 'puback', messageId, reasonCode: 0 })
  }
  expect(lines).toEqual([])
}, 15_000)

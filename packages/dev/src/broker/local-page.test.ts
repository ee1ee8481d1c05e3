// Tests that web pages from other hosts cannot connect to the broker through the developer's browser.
import { once } from 'node:events'
import { connect } from 'node:net'
import { generate } from 'mqtt-packet'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { startBroker, type Broker } from './index.ts'
import { isLocal } from './local-page.ts'
import { connectPacket, RawClient } from './testing/raw-client.ts'

let broker: Broker

beforeAll(async () => {
  broker = await startBroker('embedded', { mqttPort: 0, wsPort: 0 })
})
afterAll(() => broker.close())

// Returns the status of the response; 101 = the upgrade was accepted.
function upgrade(headers: Record<string, string>, protocols: string[] = ['mqtt']): Promise<number> {
  return new Promise((resolve) => {
    const socket = new WebSocket(broker.wsUrl!, protocols, { headers })
    socket.on('error', () => {})
    socket.on('unexpected-response', (_request, response) => {
      resolve(response.statusCode!)
      response.destroy()
    })
    socket.on('open', () => {
      resolve(101)
      socket.terminate()
    })
  })
}

test.each([
  [{}, 101],
  [{ origin: 'http://localhost:5173' }, 101],
  [{ origin: 'http://127.0.0.1' }, 101],
  [{ origin: 'http://[::1]:80' }, 101],
  [{ host: 'LOCALHOST:1' }, 101],
  [{ origin: 'https://evil.example' }, 403],
  [{ origin: 'http://localhost.evil.example' }, 403],
  [{ origin: 'http://localhost@evil.example' }, 403],
  [{ origin: 'http://127.0.0.1.evil.example:80' }, 403],
  [{ origin: 'file://' }, 403],
  [{ origin: 'null' }, 403],
  [{ origin: '' }, 403],
  [{ host: 'evil.example' }, 403],
  [{ host: 'evil.example', origin: 'http://evil.example' }, 403],
  [{ host: '127.0.0.1.evil.example:9001' }, 403],
])('an upgrade request with the headers %j receives status %i', async (headers, status) => {
  expect(await upgrade(headers as Record<string, string>)).toBe(status)
})

test('refuses an upgrade without a Host header', () => {
  expect(isLocal(undefined, { headers: {} })).toBe(false)
})

test('refuses an upgrade with two Host headers', async () => {
  const { hostname, port } = new URL(broker.wsUrl!)
  const socket = connect(Number(port), hostname)
  socket.write(
    'GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n',
  )
  const [answer] = (await once(socket, 'data')) as [Buffer]
  expect(answer.toString()).toMatch(/^HTTP\/1\.1 400 /)
  socket.destroy()
})

test.each([[[]], [['chat']], [['mqttv3.1']]])(
  'refuses an upgrade with the sub-protocols %j',
  async (protocols) => {
    expect(await upgrade({}, protocols)).toBe(400)
  },
)

test('chooses the sub-protocol mqtt, and closes the connection on a text frame without handling its content', async () => {
  const subscriber = await RawClient.connect(broker.url)
  await subscriber.subscribe('text')
  const socket = new WebSocket(broker.wsUrl!, ['chat', 'mqtt'])
  await new Promise((resolve) => socket.once('open', resolve))
  expect(socket.protocol).toBe('mqtt')
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  const connecting = generate(connectPacket({ clientId: 'text' }), { protocolVersion: 5 })
  const publishing = generate(
    { cmd: 'publish', topic: 'text', payload: 'x', qos: 0, retain: false, dup: false },
    { protocolVersion: 5 },
  )
  socket.send(Buffer.concat([connecting, publishing]).toString('latin1'), { binary: false })
  await closed
  expect(await subscriber.payloads()).toEqual([])
})

test('explains the purpose of the port to a browser', async () => {
  const response = await fetch(broker.wsUrl!.replace('ws:', 'http:'))
  expect(response.status).toBe(426)
  expect(await response.text()).toContain('MQTT over WebSocket')
})

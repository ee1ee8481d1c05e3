// Tests brokers that reject the connector, lose data, disconnect or impose limits: the connector logs the reason,
// survives and recovers by itself. Each test uses Mosquitto if a setting of Mosquitto causes the fault.
// All other tests use a stand-in with scripted answers to CONNECT and SUBSCRIBE.
import { execFileSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { join } from 'node:path'
import {
  createLog,
  loadConfig,
  Secret,
  startConnector,
  type ConfigInput,
  type Connector,
} from '@inferwire/connector'
import { generate, parser, type Packet } from 'mqtt-packet'
import { afterEach, expect, test } from 'vitest'
import { runConnector } from './fixtures/connector.ts'
import { freePort } from './fixtures/free-port.ts'
import { startMosquitto } from './fixtures/mosquitto.ts'
import { TestClient } from './fixtures/mqtt-client.ts'
import { tempFolder } from './fixtures/temp-folder.ts'
import { FakeModelServer } from './rig/model-server.ts'

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close()
})

// Unlike `runConnector`, does not wait for the session, which may never be ready.
async function startUnready(broker: ConfigInput['broker']): Promise<{ connector: Connector; log: string[] }> {
  const log: string[] = []
  const config = loadConfig({
    env: {},
    flags: {
      name: 'faults',
      admin: { port: 0 },
      broker: { ...broker, reconnect: { minMs: 10, maxMs: 100 } },
    },
  })
  const sink = { write: (line: string) => log.push(line) }
  const connector = await startConnector(config, { log: createLog({ level: 'debug', format: 'json' }, sink) })
  closers.push(() => connector.stop())
  return { connector, log }
}

async function readiness(connector: Connector): Promise<{ status: number; text: string }> {
  const response = await fetch(`${connector.adminUrl}/readyz`)
  return { status: response.status, text: await response.text() }
}

type Answer = (packet: Packet, socket: Socket) => void

// Starts a stand-in that implements just enough MQTT 5 to misbehave in one specific way.
async function startStandIn(answer: Answer): Promise<string> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    const reader = parser({ protocolVersion: 5 })
    reader.on('packet', (packet) => answer(packet as Packet, socket))
    socket.on('data', (chunk: Buffer) => reader.parse(chunk))
    socket.on('error', () => {})
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closers.push(async () => {
    const closed = new Promise((resolve) => server.close(resolve))
    for (const socket of sockets) socket.destroy()
    await closed
  })
  return `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`
}

function send(socket: Socket, packet: Packet): void {
  socket.write(generate(packet, { protocolVersion: 5 }))
}

const CONNACK: Packet = { cmd: 'connack', reasonCode: 0, sessionPresent: false }

test('a wrong password is logged with a remedy, and the corrected password is used without a restart', async () => {
  const broker = await startMosquitto({ users: { inferwire: 'right' } })
  closers.push(() => broker.stop())
  const passwordFile = `${tempFolder('password')}/password`
  writeFileSync(passwordFile, 'wrong\n')
  const { connector, log } = await startUnready({ url: broker.url, username: 'inferwire', passwordFile })
  await expect.poll(() => log.some((line) => line.includes('session_unavailable'))).toBe(true)
  const { status, text } = await readiness(connector)
  expect(status).toBe(503)
  expect(text).toMatch(/not authorized|bad user name or password/)
  expect(text).toContain('broker.passwordFile')
  writeFileSync(passwordFile, 'right\n')
  await connector.ready
  expect((await readiness(connector)).status).toBe(200)
  expect(log.join('')).not.toContain('wrong')
})

test('if no broker listens at the configured address, the log contains the address and the reason', async () => {
  const { connector, log } = await startUnready({ url: 'mqtt://127.0.0.1:1' })
  await expect.poll(() => log.some((line) => line.includes('session_unavailable'))).toBe(true)
  const { status, text } = await readiness(connector)
  expect(status).toBe(503)
  expect(text).toContain('ECONNREFUSED')
  expect((await fetch(`${connector.adminUrl}/livez`)).status).toBe(200)
})

test.each([
  [0x87, /refused the subscription \(not authorized, 0x87\)/],
  [0, /granted only QoS 0/],
])('a SUBACK with reason code %i prevents the connector from becoming ready', async (code, text) => {
  const url = await startStandIn((packet, socket) => {
    if (packet.cmd === 'connect') send(socket, CONNACK)
    if (packet.cmd === 'subscribe')
      send(socket, {
        cmd: 'suback',
        messageId: packet.messageId!,
        granted: packet.subscriptions.map(() => code),
      })
  })
  const { connector } = await startUnready({ url })
  await expect.poll(async () => (await readiness(connector)).text).toMatch(text)
})

test.each<[string, Buffer]>([
  ['a cut packet', Buffer.from([0x30, 0x50, 0x00, 0x05])],
  ['a Response Topic that runs past the end of the packet', Buffer.from('300700016103080005', 'hex')],
  ['a packet type that only clients send', Buffer.from([0x10, 0x00])],
  ['an endless Remaining Length', Buffer.from([0x30, 0xff, 0xff, 0xff, 0xff, 0xff])],
  ['a PUBACK without an identifier', Buffer.from([0x40, 0x00])],
  ['a second CONNACK', generate(CONNACK, { protocolVersion: 5 })],
])('the connector reconnects after %s', async (_what, bytes) => {
  let connections = 0
  const url = await startStandIn((packet, socket) => {
    if (packet.cmd === 'connect') {
      connections += 1
      send(socket, CONNACK)
    }
    if (packet.cmd === 'subscribe') {
      send(socket, {
        cmd: 'suback',
        messageId: packet.messageId!,
        granted: packet.subscriptions.map(() => 1),
      })
      if (connections === 1) socket.end(bytes)
    }
  })
  const { connector } = await startUnready({ url })
  await connector.ready
  await expect.poll(() => connections).toBe(2)
  await expect.poll(async () => (await readiness(connector)).status).toBe(200)
})

test('a broker that never answers CONNECT is abandoned after the connect timeout', async () => {
  let connections = 0
  const url = await startStandIn((packet) => {
    if (packet.cmd === 'connect') connections += 1
  })
  const { connector } = await startUnready({ url, connectTimeoutMs: 200 })
  await expect.poll(() => connections).toBeGreaterThan(1)
  expect((await readiness(connector)).text).toContain('within 200 ms')
})

test('a session subscribes again after its connection was lost before the SUBACK', async () => {
  // The Session Present flag of each CONNACK. The second connection is lost before its SUBACK.
  const sessionPresent = [false, false, true]
  let connections = 0
  const subscribed: number[] = []
  const url = await startStandIn((packet, socket) => {
    if (packet.cmd === 'connect') {
      send(socket, { ...CONNACK, sessionPresent: sessionPresent[connections] ?? true } as Packet)
      connections += 1
    }
    if (packet.cmd === 'subscribe') {
      subscribed.push(connections)
      if (connections === 2) return socket.destroy()
      send(socket, {
        cmd: 'suback',
        messageId: packet.messageId!,
        granted: packet.subscriptions.map(() => 1),
      })
      if (connections === 1) setTimeout(() => socket.destroy(), 50)
    }
  })
  const { connector, log } = await startUnready({ url })
  await connector.ready
  await expect.poll(() => connections).toBe(3)
  await expect.poll(async () => (await readiness(connector)).status).toBe(200)
  expect(subscribed).toEqual([1, 2, 3])
  expect(log.filter((line) => line.includes('session_lost'))).toHaveLength(1)
})

// With acl_file, Mosquitto grants the subscription to a forbidden topic but delivers nothing. Its dynamic-security plugin
// rejects the subscription, as EMQX does.
const DYNAMIC_SECURITY = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/lib']
  .map((folder) => join(folder, 'mosquitto_dynamic_security.so'))
  .find((file) => existsSync(file))

test('on a broker that rejects the subscription to cancel messages, requests are answered, and the log contains the ACL rule that is missing', async () => {
  if (DYNAMIC_SECURITY === undefined) {
    throw new Error(
      "The test needs Mosquitto's plugin mosquitto_dynamic_security.so: it is in the package mosquitto.",
    )
  }
  const security = join(tempFolder('dynamic-security'), 'security.json')
  const acls = [{ acltype: 'subscribePattern', topic: 'infer/cancel/#', allow: false }]
  const rights = { publishClientSend: true, publishClientReceive: true, subscribe: true, unsubscribe: true }
  writeFileSync(
    security,
    JSON.stringify({
      defaultACLAccess: rights,
      roles: [{ rolename: 'no-cancels', acls }],
      groups: [{ groupname: 'anyone', roles: [{ rolename: 'no-cancels' }] }],
      anonymousGroup: 'anyone',
    }),
  )
  const broker = await startMosquitto({
    config: [`plugin ${DYNAMIC_SECURITY}`, `plugin_opt_config_file ${security}`],
  })
  closers.push(() => broker.stop())
  const upstream = await FakeModelServer.start()
  closers.push(() => upstream.stop())
  const running = await runConnector({
    broker: { url: broker.url },
    models: { 'slow-500': { url: upstream.url, protocolVersion: 'v1' } },
  })
  closers.push(() => running.connector.stop())
  expect(await readiness(running.connector)).toMatchObject({ status: 200 })
  const client = await TestClient.connect(broker.url)
  closers.push(() => client.close())
  await client.subscribe('infer/reply/#')
  const answered = client.ask('infer/request/cam7/slow-500/predict/1', '{"instances":[[1]]}')
  await client.publish('infer/cancel/cam7/slow-500/predict/1', '')
  expect((await answered).user['status']).toBe('200')
  const refused = running.log.filter((line) => line.includes('"subscription_refused"'))
  expect(refused).toHaveLength(1)
  expect(refused[0]).toContain('ACL: topic read infer/cancel/#')
  await broker.stop()
  await broker.start()
  await expect.poll(async () => (await readiness(running.connector)).status, { timeout: 10_000 }).toBe(200)
})

test('a takeover by another connector with the same client identifier is logged, and the connector backs off', async () => {
  let connections = 0
  const url = await startStandIn((packet, socket) => {
    if (packet.cmd === 'connect') {
      connections += 1
      send(socket, CONNACK)
    }
    if (packet.cmd === 'subscribe') {
      send(socket, {
        cmd: 'suback',
        messageId: packet.messageId!,
        granted: packet.subscriptions.map(() => 1),
      })
      send(socket, { cmd: 'disconnect', reasonCode: 0x8e })
    }
  })
  const { connector, log } = await startUnready({ url })
  await expect.poll(async () => (await readiness(connector)).text).toContain('broker.clientId')
  expect(log.find((line) => line.includes('session_unavailable'))).toContain('"retryInMs":30000')
  expect(connections).toBe(1)
})

test('repeated restarts of the broker are not mistaken for a takeover', async () => {
  const broker = await startMosquitto()
  closers.push(() => broker.stop())
  const { connector, log } = await startUnready({ url: broker.url })
  const told = (event: string): string[] => log.filter((line) => line.includes(`"${event}"`))
  await connector.ready
  for (const signal of ['SIGTERM', 'SIGKILL', 'SIGTERM', 'SIGKILL', 'SIGTERM'] as const) {
    const before = told('session_ready').length
    await broker.stop(signal)
    await broker.start()
    await expect.poll(() => told('session_ready').length, { timeout: 3_000 }).toBe(before + 1)
  }
  expect(
    told('session_unavailable').filter((line) => line.includes('Another connector may be using')),
  ).toEqual([])
})

test("an answer that exceeds the broker's Maximum Packet Size is replaced by an error with a code", async () => {
  const broker = await startMosquitto({ config: ['max_packet_size 1500'] })
  closers.push(() => broker.stop())
  const upstream = await FakeModelServer.start()
  closers.push(() => upstream.stop())
  const { connector } = await runConnector({
    broker: { url: broker.url },
    models: { echo: { url: upstream.url, protocolVersion: 'v1' } },
  })
  closers.push(() => connector.stop())
  const client = await TestClient.connect(broker.url)
  closers.push(() => client.close())
  await client.subscribe('infer/reply/cam7/#')
  const small = await client.ask('infer/request/cam7/echo/predict', `{"instances":["${'x'.repeat(1_000)}"]}`)
  expect(small.user['status']).toBe('200')
  // The properties of the reply make it larger than the request.
  const large = await client.ask('infer/request/cam7/echo/predict', `{"instances":["${'x'.repeat(1_380)}"]}`)
  expect(large.user).toMatchObject({ status: '502', code: 'response_too_large' })
})

test('on a Mosquitto that does not support retained messages, the connector answers, and logs that retained messages are not available', async () => {
  const broker = await startMosquitto({ config: ['retain_available false'] })
  closers.push(() => broker.stop())
  const upstream = await FakeModelServer.start()
  closers.push(() => upstream.stop())
  const client = await TestClient.connect(broker.url)
  closers.push(() => client.close())
  await client.subscribe('infer/models/#')
  await client.subscribe('infer/reply/cam7/#')
  const { connector, log } = await runConnector({
    broker: { url: broker.url },
    models: { echo: { url: upstream.url, protocolVersion: 'v1' } },
  })
  closers.push(() => connector.stop())
  const reply = await client.ask('infer/request/cam7/echo/predict', '{"instances":[1]}')
  expect(reply.user['status']).toBe('200')
  expect(log.filter((line) => line.includes('"retain_unavailable"'))).toHaveLength(1)
  // A client that is already subscribed still receives the card.
  await client.wait(({ topic }) => topic === 'infer/models/echo', 'the card')
  const late = await TestClient.connect(broker.url)
  closers.push(() => late.close())
  await late.subscribe('infer/models/#')
  await late.subscribe('infer/reply/cam7/#')
  await late.ask('infer/request/cam7/echo/predict', '{"instances":[2]}')
  expect(late.received.filter(({ topic }) => topic.startsWith('infer/models/'))).toEqual([])
})

test('if broker.share is set on a broker without shared subscriptions, the connector does not become ready', async () => {
  const noShare = { ...CONNACK, properties: { sharedSubscriptionAvailable: false } } as Packet
  const url = await startStandIn((packet, socket) => {
    if (packet.cmd === 'connect') send(socket, noShare)
  })
  const { connector, log } = await startUnready({ url, share: 'g' })
  await expect
    .poll(async () => (await readiness(connector)).text)
    .toMatch(/shared subscriptions not supported, 0x9e.*broker\.share/)
  expect(log.find((line) => line.includes('session_unavailable'))).toContain('broker.share')
})

test('a connector that switches to a shared subscription removes the previous subscription from its session', async () => {
  const broker = await startMosquitto()
  closers.push(() => broker.stop())
  const upstream = await FakeModelServer.start()
  closers.push(() => upstream.stop())
  const models = { echo: { url: upstream.url, protocolVersion: 'v1' as const } }
  const alone = await runConnector({ broker: { url: broker.url, clientId: 'one' }, models })
  await alone.connector.stop()
  for (const clientId of ['one', 'two']) {
    const member = await runConnector({ broker: { url: broker.url, clientId, share: 'g' }, models })
    closers.push(() => member.connector.stop())
  }
  const client = await TestClient.connect(broker.url)
  closers.push(() => client.close())
  await client.subscribe('infer/reply/cam7/#')
  for (let count = 0; count < 10; count++) {
    await client.ask(`infer/request/cam7/echo/predict`, `{"instances":[${count}]}`)
  }
  expect(upstream.requests.filter(({ path }) => path.endsWith(':predict'))).toHaveLength(10)
})

test('a TLS certificate from an unknown authority is rejected, and a certificate from a configured authority is accepted', async () => {
  const folder = tempFolder('tls')
  execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-days',
      '2',
      '-subj',
      '/CN=localhost',
      '-addext',
      'subjectAltName=DNS:localhost',
      '-keyout',
      `${folder}/key.pem`,
      '-out',
      `${folder}/cert.pem`,
    ],
    { stdio: 'ignore' },
  )
  const port = await freePort()
  const broker = await startMosquitto({
    config: [`listener ${port} 127.0.0.1`, `certfile ${folder}/cert.pem`, `keyfile ${folder}/key.pem`],
  })
  closers.push(() => broker.stop())
  const url = `mqtts://localhost:${port}`
  const distrusting = await startUnready({ url })
  await expect
    .poll(async () => (await readiness(distrusting.connector)).text)
    .toMatch(/self-signed certificate/)
  const trusting = await startUnready({ url, clientId: 'trusting', tls: { caFile: `${folder}/cert.pem` } })
  await trusting.connector.ready
})

test('the connector logs in over WebSocket', async () => {
  const broker = await startMosquitto({ users: { inferwire: 'pw' }, ws: true })
  closers.push(() => broker.stop())
  const { connector } = await startUnready({
    url: `ws://127.0.0.1:${broker.wsPort}`,
    username: 'inferwire',
    password: new Secret('pw') as never,
  })
  await connector.ready
})

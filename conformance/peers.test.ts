// Tests several connectors under one root, and a connector after its restart, on a real Mosquitto.
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { Secret, type ConfigInput } from '@inferwire/connector'
import type { ConnectorStatus } from '@inferwire/protocol'
import { Proxy } from './rig/proxy.ts'
import { runConnector, type TestConnector } from './fixtures/connector.ts'
import { startMosquitto, type Mosquitto } from './fixtures/mosquitto.ts'
import { TestClient } from './fixtures/mqtt-client.ts'
import { FakeModelServer } from './rig/model-server.ts'

const BODY = '{"instances":[[1]]}'

let broker: Mosquitto
let upstream: FakeModelServer
let client: TestClient
let roots = 0
const closing: (() => Promise<void>)[] = []
let root: string
const connectors: TestConnector[] = []

beforeAll(async () => {
  broker = await startMosquitto()
  upstream = await FakeModelServer.start()
})

beforeEach(async () => {
  root = `plant-${++roots}`
  client = await TestClient.connect(broker.url)
  await client.subscribe(`${root}/reply/plc/#`)
})

afterEach(async () => {
  await client.close()
  for (const { connector } of connectors.splice(0)) await connector.stop()
  for (const close of closing.splice(0).toReversed()) await close()
})

afterAll(async () => {
  await upstream.stop()
  await broker.stop()
})

async function run(name: string, models: readonly string[], parts: ConfigInput = {}): Promise<TestConnector> {
  const running = await runConnector({
    name,
    root,
    models: Object.fromEntries(models.map((model) => [model, { url: upstream.url, protocolVersion: 'v1' }])),
    ...parts,
    broker: { url: broker.url, ...parts.broker },
  })
  connectors.push(running)
  return running
}

async function stop(running: TestConnector): Promise<void> {
  connectors.splice(connectors.indexOf(running), 1)
  await running.connector.stop()
}

const events = ({ log }: TestConnector): string[] =>
  log.map((line) => (JSON.parse(line) as { event: string }).event)

/** Returns the outcomes of all replies to one request. Waits long enough for a second reply to arrive. */
async function repliesTo(model: string, id: string): Promise<(string | undefined)[]> {
  const topic = `${root}/reply/plc/${model}/predict/${id}`
  await client.publish(`${root}/request/plc/${model}/predict/${id}`, BODY)
  await client.wait((message) => message.topic === topic, `reply on ${topic}`)
  // Requests are handled in order of arrival. Once this second request is answered, both connectors have handled the
  // first one.
  const last = `${root}/reply/plc/unknown-model/predict/${id}`
  await client.publish(`${root}/request/plc/unknown-model/predict/${id}`, BODY)
  await client.wait((message) => message.topic === last, `reply on ${last}`)
  return client.received
    .filter((message) => message.topic === topic)
    .map(({ user }) => user['code'] ?? user['status'])
}

async function retained(topic: string): Promise<string | undefined> {
  const reader = await TestClient.connect(broker.url)
  await reader.subscribe(topic)
  // The broker sends a retained message along with the SUBACK, so it arrives before the marker.
  await reader.subscribe(`${root}/marker`)
  await reader.publish(`${root}/marker`, 'x')
  await reader.wait((message) => message.topic === `${root}/marker`)
  const message = reader.received.find((each) => each.topic === topic)
  await reader.close()
  return message?.payload.toString()
}

const statusOf = async (name: string): Promise<ConnectorStatus> =>
  JSON.parse((await retained(`${root}/status/${name}`)) ?? '{}') as ConnectorStatus

test("two connectors with different models under one root do not answer requests for each other's models", async () => {
  const a = await run('a', ['iris'])
  const b = await run('b', ['rose'])
  await expect.poll(() => [events(a), events(b)].every((seen) => seen.includes('peer_found'))).toBe(true)
  for (let count = 0; count < 6; count += 1) {
    expect(await repliesTo('iris', String(count))).toEqual(['200'])
    expect(await repliesTo('rose', String(count))).toEqual(['200'])
  }
})

test('a request for a model that no connector exposes is still answered', async () => {
  await run('a', ['iris'])
  await run('b', ['rose'])
  const reply = await client.ask(`${root}/request/plc/tulip`, BODY)
  expect(reply.user['code']).toBe('model_not_found')
})

test('a request for a model of an offline connector fails with model_not_ready until the connector returns', async () => {
  const a = await run('a', ['iris'])
  const b = await run('b', ['rose'])
  await stop(b)
  await expect.poll(() => events(a)).toContain('peer_offline')
  const before = await client.ask(`${root}/request/plc/rose/predict`, BODY)
  expect(before.user['code']).toBe('model_not_ready')
  await run('b', ['rose'])
  await expect.poll(() => events(a).filter((event) => event === 'peer_found')).toHaveLength(2)
  const after = await client.ask(`${root}/request/plc/rose/predict`, BODY)
  expect(after.user['status']).toBe('200')
})

test('requests that waited for a connector are not answered with model_not_found when it starts', async () => {
  const a = await run('a', ['iris'])
  const b = await run('b', ['rose'])
  await stop(a)
  await client.publish(`${root}/request/plc/rose/predict/1`, BODY)
  await client.wait(({ topic }) => topic === `${root}/reply/plc/rose/predict/1`)
  await run('a', ['iris'])
  expect(await repliesTo('rose', '2')).toEqual(['200'])
  expect(client.received.filter(({ topic }) => topic === `${root}/reply/plc/rose/predict/1`)).toHaveLength(1)
  await stop(b)
})

test('a model that two connectors expose is logged as a warning', async () => {
  const a = await run('a', ['iris'])
  await run('b', ['iris'])
  await expect.poll(() => events(a)).toContain('model_exposed_twice')
})

test('after a connector stops, the card of its model is that of the connector that still exposes the model', async () => {
  await run('a', ['iris'])
  const b = await run('b', ['iris'], {
    models: { iris: { url: upstream.url, protocolVersion: 'v1', timeoutMs: 1_234 } },
  })
  await expect.poll(() => retained(`${root}/models/iris`)).toContain('1234')
  await stop(b)
  await expect.poll(() => retained(`${root}/models/iris`)).not.toContain('1234')
  expect(await retained(`${root}/models/iris`)).toContain('"name":"iris"')
})

test('a connector that restarts without a model clears its earlier card', async () => {
  await stop(await run('a', ['iris', 'rose']))
  expect(await retained(`${root}/models/iris`)).toContain('"name":"iris"')
  await run('a', ['rose'])
  await expect.poll(() => retained(`${root}/models/iris`)).toBeUndefined()
  expect(await retained(`${root}/models/rose`)).toContain('"name":"rose"')
})

test('a connector that restarts without a model keeps a card that a peer also publishes', async () => {
  await stop(await run('a', ['iris', 'rose']))
  await run('b', ['iris'])
  const a = await run('a', ['rose'])
  await expect.poll(() => events(a)).toContain('peer_found')
  await repliesTo('rose', '1')
  expect(await retained(`${root}/models/iris`)).toContain('"name":"iris"')
})

test('a birth message has a newer timestamp than the previous status, even if the clock was set back', async () => {
  const future = Date.now() + 1_000_000_000
  const earlier = { contract: 1, connector: 'a', state: 'offline', timestamp: future, models: [] }
  await client.publish(`${root}/status/a`, JSON.stringify(earlier), {}, true)
  await run('a', ['iris'])
  await expect.poll(async () => (await statusOf('a')).timestamp, { timeout: 5_000 }).toBe(future + 1)
  expect((await statusOf('a')).state).toBe('online')
  expect(await repliesTo('iris', '1')).toEqual(['200'])
})

test.each(['3.1.1', 5] as const)(
  'after the broker has lost all data, a peer that does not return is removed (MQTT version %s)',
  async (mqttVersion) => {
    const forgetful = await startMosquitto({ config: ['persistence false'] })
    closing.push(() => forgetful.stop())
    const parts: ConfigInput = {
      broker: { url: forgetful.url, mqttVersion, reconnect: { minMs: 20, maxMs: 200 } },
    }
    const a = await run('a', ['iris'], parts)
    const b = await run('b', ['rose'], parts)
    await expect.poll(() => events(a)).toContain('peer_found')
    await forgetful.stop('SIGKILL')
    await stop(b)
    await forgetful.start()
    await expect
      .poll(() => events(a).filter((event) => event === 'session_ready'), { timeout: 10_000 })
      .toHaveLength(2)
    const asker = await TestClient.connect(forgetful.url)
    closing.push(() => asker.close())
    const topic = `${root}/reply/plc/rose/predict/1`
    await asker.subscribe(topic)
    await asker.publish(`${root}/request/plc/rose/predict/1`, BODY)
    const reply = await asker.wait(
      (message) => message.topic === topic,
      'answer for the model of the lost peer',
    )
    expect(reply.payload.toString()).toContain('is not exposed here')
    expect(events(a)).toContain('peer_gone')
  },
  20_000,
)

/** Starts a connector behind a proxy that refuses connections until `back` is called. */
async function runAway(name: string, models: readonly string[]) {
  const proxy = await Proxy.start(broker.port)
  closing.push(() => proxy.close())
  const running = await run(name, models, {
    broker: { url: `mqtt://127.0.0.1:${proxy.port}`, reconnect: { minMs: 20, maxMs: 50 } },
  })
  return {
    running,
    leave: async () => {
      await proxy.refuse()
      proxy.reset()
      await expect.poll(() => events(running)).toContain('session_unavailable')
    },
    back: () => proxy.accept(),
  }
}

test('a peer whose status was deleted while the connector was offline is removed', async () => {
  const { running: a, leave, back } = await runAway('a', ['iris'])
  await stop(await run('b', ['rose']))
  await expect.poll(() => events(a)).toContain('peer_offline')
  await leave()
  await client.publish(`${root}/status/b`, '', {}, true)
  await client.publish(`${root}/request/plc/rose/predict/1`, BODY)
  await back()
  const reply = await client.wait(({ topic }) => topic === `${root}/reply/plc/rose/predict/1`)
  expect(reply.user['code']).toBe('model_not_found')
})

test('requests for a peer that appeared while the connector was offline are answered only by the peer, even if the connector receives them too', async () => {
  const { running: a, leave, back } = await runAway('a', ['iris'])
  await leave()
  await run('b', ['rose'])
  const topic = `${root}/reply/plc/rose/predict/1`
  await client.publish(`${root}/request/plc/rose/predict/1`, BODY)
  await client.wait((message) => message.topic === topic)
  await back()
  await expect.poll(() => events(a)).toContain('peer_found')
  expect(await repliesTo('rose', '2')).toEqual(['200'])
  expect(client.received.filter((message) => message.topic === topic)).toHaveLength(1)
})

test('a connector without read access to the statuses logs once which access to grant', async () => {
  const strict = await startMosquitto({
    users: { edge: 'edge' },
    acl: ['user edge', 'topic readwrite +/request/#', 'topic write #', ''].join('\n'),
  })
  closing.push(() => strict.stop())
  const edge = await run('edge', ['iris'], {
    broker: { url: strict.url, username: 'edge', password: new Secret('edge') },
  })
  await expect.poll(() => events(edge), { timeout: 5_000 }).toContain('peers_unknown')
  const line = edge.log.find((each) => each.includes('peers_unknown'))
  expect(line).toContain(`read access to \\"${root}/status/#\\"`)
})

// Tests that a reload removes nothing that is still in use, and that cards and statuses stay correct whatever happens
// at the same time.
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { rootCertificates } from 'node:tls'
import { ConfigError, loadConfig, type ConfigInput, type ConnectorConfig } from '@inferwire/connector'
import type { ConnectorStatus, ModelCard } from '@inferwire/protocol'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { runConnector, type TestConnector } from './fixtures/connector.ts'
import { startInferwire } from './fixtures/inferwire.ts'
import { startMosquitto, type Mosquitto } from './fixtures/mosquitto.ts'
import { TestClient, type Received } from './fixtures/mqtt-client.ts'
import { tempFolder } from './fixtures/temp-folder.ts'
import { after, Gate, json, text, type Answer } from './rig/answers.ts'
import { healthy } from './rig/model-behaviours.ts'
import { FakeModelServer, ready } from './rig/model-server.ts'

const BODY = '{"instances":[[1]]}'
const NAME = 'reloaded'
const STATUS = `infer/status/${NAME}`

let broker: Mosquitto
let client: TestClient
const closers: (() => unknown)[] = []

beforeEach(async () => {
  broker = await startMosquitto()
  closers.push(() => broker.stop())
  client = await TestClient.connect(broker.url, { isPersistent: true })
  closers.push(() => client.close())
  for (const filter of ['infer/reply/me/#', 'infer/models/#', 'infer/status/#'])
    await client.subscribe(filter)
})

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close()
})

function input(models: ConfigInput['models']): ConfigInput {
  return { name: NAME, broker: { url: broker.url, reconnect: { minMs: 10, maxMs: 100 } }, models }
}

async function run(models: ConfigInput['models']): Promise<TestConnector> {
  const running = await runConnector(input(models))
  closers.push(() => running.connector.stop())
  return running
}

function configOf(models: ConfigInput['models']): ConnectorConfig {
  return loadConfig({ env: {}, flags: input(models) })
}

function card(name: string, fits: (card: ModelCard) => boolean = () => true): Promise<Received> {
  return client.wait(
    (message) =>
      message.topic === `infer/models/${name}` &&
      message.payload.length > 0 &&
      fits(message.json() as ModelCard),
    `card of ${name}`,
  )
}

function cardGone(name: string): Promise<Received> {
  return client.wait(
    ({ topic, payload }) => topic === `infer/models/${name}` && payload.length === 0,
    `end of the card of ${name}`,
  )
}

async function status(fits: (status: ConnectorStatus) => boolean, topic = STATUS): Promise<ConnectorStatus> {
  const message = await client.wait(
    (each) => each.topic === topic && fits(each.json() as ConnectorStatus),
    `status on ${topic}`,
    20_000,
  )
  return message.json() as ConnectorStatus
}

function statuses(topic: string): string[] {
  return client.received
    .filter((message) => message.topic === topic)
    .map((message) => (message.json() as ConnectorStatus).state)
}

/**
 * Starts a model server that answers inferences at once, but metadata requests only when the test allows it.
 */
async function startDiscreetServer(
  metadata: Answer = json(200, '{"name":"iris"}'),
): Promise<{ url: string; hold(): void; release(): void }> {
  const gate = new Gate()
  const held = gate.hold(metadata)
  let isHolding = false
  const server = await FakeModelServer.start({
    answer: json(200, { predictions: [1] }),
    describe: (reply, call) => (isHolding ? held : metadata)(reply, call),
  })
  closers.push(() => server.stop())
  return {
    url: server.url,
    hold: () => (isHolding = true),
    release: () => {
      isHolding = false
      gate.release()
    },
  }
}

// Resolves with the problem's code, or with the answer's status.
async function askIris(): Promise<unknown> {
  const { user } = await client.ask('infer/request/me/iris/predict', BODY)
  return user['code'] ?? user['status']
}

test('requests queued before a reload are answered by the model that the reload replaces', async () => {
  const upstream = await FakeModelServer.start()
  closers.push(() => upstream.stop())
  const model = { url: upstream.url, protocolVersion: 'v1' as const, limits: { concurrency: 1 } }
  const { connector } = await run({ 'slow-200': model })
  const replies = Array.from({ length: 5 }, () => client.ask('infer/request/me/slow-200/predict', BODY))
  await replies[0]
  connector.reload(configOf({ 'slow-200': { ...model, timeoutMs: 9_000 } }))
  const answered = await Promise.all(replies)
  expect(answered.map(({ user }) => user['status'])).toEqual(Array.from({ length: 5 }, () => '200'))
  await card('slow-200', ({ limits }) => limits.timeout_ms === 9_000)
  expect((await client.ask('infer/request/me/slow-200/predict', BODY)).user['status']).toBe('200')
})

test('a changed model keeps the old configuration until its metadata arrives; then removed versions disappear', async () => {
  const server = await startDiscreetServer()
  const model = { url: server.url, versions: ['1', '2'] }
  const { connector } = await run({ iris: { ...model, description: 'before' } })
  await card('iris@1')
  expect(await askIris()).toBe('200')

  server.hold()
  connector.reload(configOf({ iris: { ...model, description: 'between' } }))
  expect(await askIris()).toBe('200')
  connector.reload(configOf({ iris: { url: server.url, versions: ['2'], description: 'after' } }))
  expect(await askIris()).toBe('200')
  expect(connector.cards.map(({ name, description }) => `${name} ${description}`)).toEqual([
    'iris before',
    'iris@1 before',
    'iris@2 before',
  ])

  server.release()
  await card('iris', ({ description }) => description === 'after')
  await cardGone('iris@1')
  expect(await askIris()).toBe('200')
  expect(connector.cards.map(({ name, description }) => `${name} ${description}`)).toEqual([
    'iris after',
    'iris@2 after',
  ])
  connector.reload(configOf({}))
  await cardGone('iris@2')
  expect(await askIris()).toBe('model_not_found')
})

test('a reload with missing files changes nothing', async () => {
  const { url } = await startDiscreetServer()
  const { connector } = await run({
    iris: { url, protocolVersion: 'v1' },
    other: { url, protocolVersion: 'v1' },
  })
  const caFile = join(tempFolder('reload'), 'ca.pem')
  writeFileSync(caFile, rootCertificates[0]!)
  const config = configOf({
    iris: { url: 'https://127.0.0.1:1', protocolVersion: 'v1', tls: { caFile } },
    fresh: { url, protocolVersion: 'v1' },
  })
  rmSync(caFile)
  expect(() => connector.reload(config)).toThrow(ConfigError)
  expect(() => connector.reload(config)).toThrow(/models\.iris.*ENOENT/s)
  expect(connector.cards.map(({ name }) => name)).toEqual(['iris', 'other'])
  const { user } = await client.ask('infer/request/me/iris/predict', BODY)
  expect(user['status']).toBe('200')
})

test('the card of a model that is removed during a broker outage is cleared after the outage', async () => {
  const { url } = await startDiscreetServer()
  const { connector } = await run({
    kept: { url, protocolVersion: 'v1' },
    gone: { url, protocolVersion: 'v1' },
  })
  await card('gone')
  await card('kept')
  await broker.stop()
  connector.reload(configOf({ kept: { url, protocolVersion: 'v1' } }))
  await broker.start()
  await cardGone('gone')
  await status(({ models }) => models?.length === 1)

  const late = await TestClient.connect(broker.url)
  closers.push(() => late.close())
  await late.subscribe('infer/models/#')
  await late.wait(({ topic }) => topic === 'infer/models/kept', 'card of kept')
  expect(late.received.map(({ topic }) => topic)).toEqual(['infer/models/kept'])
})

test('the status is updated when models are added or removed after the birth message', async () => {
  const server = await startDiscreetServer()
  server.hold()
  const { connector } = await run({ iris: { url: server.url, versions: ['1'] } })
  const { not_ready, ...birth } = await status(({ state }) => state === 'online')
  expect([birth.models, not_ready]).toEqual([[], ['iris', 'iris@1']])
  server.release()
  const later = await status(({ models }) => models?.length === 2)
  expect(later).toEqual({ ...birth, models: ['iris', 'iris@1'] })
  connector.reload(configOf({}))
  await expect
    .poll(() => client.received.findLast(({ topic }) => topic === STATUS)?.json())
    .toEqual({ ...birth, models: [] })
  // Three model lists result in three statuses: two models that are exposed together change the status once.
  expect(statuses(STATUS)).toHaveLength(3)
})

test('a connector that reconnects during its drain publishes the state "draining"', async () => {
  const upstream = await FakeModelServer.start()
  closers.push(() => upstream.stop())
  const { connector } = await run({ hang: { url: upstream.url, protocolVersion: 'v1', timeoutMs: 4_000 } })
  const birth = await status(({ state }) => state === 'online')
  await client.publish('infer/request/me/hang/predict', BODY)
  await expect.poll(() => upstream.calls('hang')).toBe(1)
  const stopped = connector.stop()
  await status(({ state }) => state === 'draining')
  await broker.stop()
  await broker.start()
  await status(({ state, timestamp }) => state === 'draining' && timestamp > birth.timestamp)
  expect(await stopped).toBe(true)
  await status(({ state, timestamp }) => state === 'offline' && timestamp > birth.timestamp)
  const second = client.received
    .filter(({ topic }) => topic === STATUS)
    .map((message) => message.json() as ConnectorStatus)
    .filter(({ timestamp }) => timestamp > birth.timestamp)
  expect(second.map(({ state }) => state)).toEqual(['draining', 'offline'])
})

test.each([
  [401, 'unauthorized_upstream', false],
  [503, 'model_not_ready', true],
])(
  'if a model server answers %i, a warning with the code %s is logged',
  async (metadataStatus, code, isHinted) => {
    const unauthorized = text(401, 'text/plain', '', { 'www-authenticate': 'Bearer error="invalid_token"' })
    const server = await startDiscreetServer(
      metadataStatus === 401 ? unauthorized : json(metadataStatus, '{}'),
    )
    const { log } = await run({ iris: { url: server.url } })
    const warning = (): string | undefined => log.find((line) => line.includes('"event":"model_not_ready"'))
    await expect.poll(warning).toContain(`"code":"${code}"`)
    expect(warning()!.includes('Check that the model server runs at http://127.0.0.1')).toBe(isHinted)
  },
)

function connectCommand(name: string): string[] {
  return ['connect', '--broker', broker.url, '--name', name, '--log-format', 'json', '--admin-port', '0']
}

test('a connector that is stopped publishes "draining", then "offline" with the timestamp of its birth message', async () => {
  const connector = startInferwire(connectCommand('stopped'))
  const topic = 'infer/status/stopped'
  const { timestamp } = await status(({ state }) => state === 'online', topic)
  connector.signal('SIGTERM')
  expect((await connector.ended).code).toBe(0)
  expect((await status(({ state }) => state === 'offline', topic)).timestamp).toBe(timestamp)
  expect(statuses(topic)).toEqual(['online', 'draining', 'offline'])
})

test('the Will of a killed connector publishes the state "offline" with the timestamp of its birth message', async () => {
  const connector = startInferwire(connectCommand('killed'))
  const topic = 'infer/status/killed'
  const { timestamp } = await status(({ state }) => state === 'online', topic)
  connector.signal('SIGKILL')
  await connector.ended
  expect((await status(({ state }) => state === 'offline', topic)).timestamp).toBe(timestamp)
  expect(statuses(topic)).toEqual(['online', 'offline'])
})

test('requests that waited in the broker are answered by the model, even before its metadata has arrived', async () => {
  // The model server answers after 300 ms, as if it were on another machine.
  const far = await FakeModelServer.start({ answer: after(300, healthy), describe: after(300, ready) })
  closers.push(() => far.stop())
  const models = { iris: { url: far.url } }
  const first = await runConnector(input(models))
  await first.connector.stop()
  const replies = Promise.all(
    Array.from({ length: 10 }, (_, index) =>
      client.ask('infer/request/me/iris/predict', `{"instances":[${index}]}`),
    ),
  )
  const second = await runConnector(input(models))
  closers.push(() => second.connector.stop())
  expect((await replies).map(({ user }) => user['status'])).toEqual(Array.from({ length: 10 }, () => '200'))
})

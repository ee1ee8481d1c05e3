// A reload takes nothing away that still serves, and cards and statuses say what is there: whatever happens meanwhile.
import { rmSync, writeFileSync } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { rootCertificates } from 'node:tls'
import { ConfigError, loadConfig, type ConfigInput, type ConnectorConfig } from '@inferwire/connector'
import type { ConnectorStatus, ModelCard } from '@inferwire/protocol'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { runConnector, type TestConnector } from './fixtures/connector.ts'
import { startInferwire } from './fixtures/inferwire.ts'
import { startUpstream } from './fixtures/misbehaving-upstream.ts'
import { startMosquitto, type Mosquitto } from './fixtures/mosquitto.ts'
import { TestClient, type Received } from './fixtures/mqtt-client.ts'
import { tempFolder } from './fixtures/temp-folder.ts'

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

/** A model server that answers what is inferred, and what it is asked about its models when the test lets it. */
async function startDiscreetServer(
  metadataStatus = 200,
): Promise<{ url: string; hold(): void; release(): void }> {
  let held: ServerResponse[] | undefined
  const tell = (response: ServerResponse): void => {
    const head =
      metadataStatus === 401
        ? { 'content-type': 'text/plain', 'www-authenticate': 'Bearer error="invalid_token"' }
        : { 'content-type': 'application/json' }
    response.writeHead(metadataStatus, head).end('{"name":"iris"}')
  }
  const server = createServer((request, response) => {
    request.resume()
    if (request.method === 'POST') {
      response.writeHead(200, { 'content-type': 'application/json' }).end('{"predictions":[1]}')
    } else if (held === undefined) tell(response)
    else held.push(response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closers.push(() => {
    server.close()
    server.closeAllConnections()
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    hold: () => (held = []),
    release: () => {
      for (const response of held ?? []) tell(response)
      held = undefined
    },
  }
}

// The code of the problem, or the status of the answer.
async function askIris(): Promise<unknown> {
  const { user } = await client.ask('infer/request/me/iris/predict', BODY)
  return user['code'] ?? user['status']
}

test('requests that wait for a turn are answered by the model that a reload replaces', async () => {
  const upstream = await startUpstream()
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

test('a changed model serves as before until its server was reached anew; then the rest goes', async () => {
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

test('a reload whose files have vanished changes nothing', async () => {
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

test('a card that went while the broker was away is cleared when it is back', async () => {
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

test('the status names the models that appear and go after the birth', async () => {
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
  // Three lists, three statuses: two exposures of one turn are told at once.
  expect(statuses(STATUS)).toHaveLength(3)
})

test('a connector that comes back in the middle of its drain says draining', async () => {
  const upstream = await startUpstream()
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
])('a server that answers %i (%s) has a warning that helps', async (metadataStatus, code, isHinted) => {
  const server = await startDiscreetServer(metadataStatus)
  const { log } = await run({ iris: { url: server.url } })
  const warning = (): string | undefined => log.find((line) => line.includes('"event":"model_not_ready"'))
  await expect.poll(warning).toContain(`"code":"${code}"`)
  expect(warning()!.includes('Check that the model server runs at http://127.0.0.1')).toBe(isHinted)
})

function connectCommand(name: string): string[] {
  return ['connect', '--broker', broker.url, '--name', name, '--log-format', 'json', '--admin-port', '0']
}

test('a connector that is asked to stop says draining, then offline, with the timestamp of its birth', async () => {
  const connector = startInferwire(connectCommand('stopped'))
  const topic = 'infer/status/stopped'
  const { timestamp } = await status(({ state }) => state === 'online', topic)
  connector.signal('SIGTERM')
  expect((await connector.ended).code).toBe(0)
  expect((await status(({ state }) => state === 'offline', topic)).timestamp).toBe(timestamp)
  expect(statuses(topic)).toEqual(['online', 'draining', 'offline'])
})

test('the Will of a connector that was killed says offline with the timestamp of its birth', async () => {
  const connector = startInferwire(connectCommand('killed'))
  const topic = 'infer/status/killed'
  const { timestamp } = await status(({ state }) => state === 'online', topic)
  connector.signal('SIGKILL')
  await connector.ended
  expect((await status(({ state }) => state === 'offline', topic)).timestamp).toBe(timestamp)
  expect(statuses(topic)).toEqual(['online', 'offline'])
})

test('what waited in the broker is answered by the model, not by a first look at it that is still under way', async () => {
  const upstream = await startUpstream()
  closers.push(() => upstream.stop())
  // Answers like the upstream, 300 ms later: a model server that is not on this machine.
  const far = createServer((request, response) => {
    setTimeout(() => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        const body = request.method === 'POST' ? { body: Buffer.concat(chunks) } : {}
        void fetch(upstream.url + request.url!, { method: request.method!, ...body }).then(async (answer) => {
          response.writeHead(answer.status, { 'content-type': 'application/json' }).end(await answer.text())
        })
      })
    }, 300)
  })
  await new Promise<void>((resolve) => far.listen(0, '127.0.0.1', resolve))
  closers.push(() => new Promise((resolve) => far.close(resolve)))
  const models = { iris: { url: `http://127.0.0.1:${(far.address() as AddressInfo).port}` } }
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

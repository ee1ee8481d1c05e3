// Tests the admission of requests on a real Mosquitto: duplicates, cancel messages, limits and fair scheduling.
import { setTimeout as delay } from 'node:timers/promises'
import { connect } from '@inferwire/client'
import type { ConfigInput } from '@inferwire/connector'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { runConnector, type TestConnector } from './fixtures/connector.ts'
import { startMosquitto, type Mosquitto } from './fixtures/mosquitto.ts'
import { TestClient, type Received } from './fixtures/mqtt-client.ts'
import { FakeModelServer } from './rig/model-server.ts'

let broker: Mosquitto
let upstream: FakeModelServer
let client: TestClient
const running: TestConnector[] = []
let bodies = 0

beforeAll(async () => {
  broker = await startMosquitto()
  upstream = await FakeModelServer.start()
  client = await TestClient.connect(broker.url)
  await client.subscribe('infer/reply/#')
})

afterEach(async () => {
  for (const { connector } of running.splice(0)) await connector.stop()
})

afterAll(async () => {
  await client.close()
  await upstream.stop()
  await broker.stop()
})

type Model = Partial<NonNullable<ConfigInput['models']>[string]>

async function run(models: Record<string, Model>, rest: ConfigInput = {}): Promise<TestConnector> {
  const { url } = upstream
  const all = Object.entries(models).map(([name, model]) => [
    name,
    { url, protocolVersion: 'v1' as const, ...model },
  ])
  const connector = await runConnector({
    broker: { url: broker.url },
    models: Object.fromEntries(all) as NonNullable<ConfigInput['models']>,
    ...rest,
  })
  running.push(connector)
  return connector
}

/** Returns a body that no other request has. */
const body = (): string => `{"instances":[[${++bodies}]]}`
const askSlow = (who: string): Promise<Received> =>
  client.ask(`infer/request/${who}/slow-500/predict`, body())
const callsWith = (text: string): number =>
  upstream.requests.filter((request) => request.body.toString() === text).length
const repliesWith = (correlation: string): Received[] =>
  client.received.filter(({ properties }) => properties.correlationData?.toString() === correlation)
const replyCount = (correlation: string, count: number): Promise<void> =>
  expect.poll(() => repliesWith(correlation).length, { timeout: 10_000 }).toBe(count)

async function metric(connector: TestConnector, pattern: RegExp): Promise<string | undefined> {
  const text = await (await fetch(`${connector.connector.adminUrl}/metrics`)).text()
  return pattern.exec(text)?.[1]
}

describe('a repeated request', () => {
  test('joins the running call, or receives the remembered answer after the call', async () => {
    const connector = await run({ 'slow-300': {} })
    const payload = body()
    const properties = { correlationData: Buffer.from('again') }
    const ask = () => client.publish('infer/request/cam7/slow-300/predict', payload, properties)
    await Promise.all([ask(), ask(), ask()])
    await replyCount('again', 3)
    await ask()
    await replyCount('again', 4)
    const answers = new Set(repliesWith('again').map((reply) => reply.payload.toString()))
    expect([answers.size, callsWith(payload)]).toEqual([1, 1])
    expect(await metric(connector, /^inferwire_duplicate_requests_total (\d+)/m)).toBe('3')
  })

  test('is answered on its own reply topic', async () => {
    await run({ 'slow-300': {} })
    const payload = body()
    const correlationData = Buffer.from('topics')
    for (const responseTopic of ['infer/reply/cam7/one', 'infer/reply/cam7/two']) {
      await client.publish('infer/request/cam7/slow-300/predict', payload, { correlationData, responseTopic })
    }
    await replyCount('topics', 2)
    expect(repliesWith('topics').map(({ topic }) => topic)).toEqual([
      'infer/reply/cam7/one',
      'infer/reply/cam7/two',
    ])
    expect(callsWith(payload)).toBe(1)
  })

  test('is recognized by the id in its topic, too', async () => {
    await run({ iris: {} })
    const payload = body()
    const topic = 'infer/request/cam7/iris/predict/run/7'
    const reply = 'infer/reply/cam7/iris/predict/run/7'
    for (let count = 1; count <= 3; count++) {
      await client.publish(topic, payload)
      const answers = () => client.received.filter((message) => message.topic === reply).length
      await expect.poll(answers, { timeout: 10_000 }).toBe(count)
    }
    expect(callsWith(payload)).toBe(1)
  })

  test.each(['ready', 'metadata'])(
    'is never answered from memory for the operation %s',
    async (operation) => {
      const own = await FakeModelServer.start()
      await run({ m: { url: own.url, protocolVersion: 'v2' } })
      const topic = `infer/request/plc/m/${operation}/1`
      const statuses = () =>
        client.received
          .filter((message) => message.topic === `infer/reply/plc/m/${operation}/1`)
          .map(({ user }) => user['status'])
      await client.publish(topic, '')
      await expect.poll(statuses, { timeout: 10_000 }).toEqual(['200'])
      await own.stop()
      await client.publish(topic, '')
      await expect.poll(statuses, { timeout: 10_000 }).toEqual(['200', '502'])
    },
  )

  test("is a separate request if its client or body differs, or if it has no id; no client receives another client's answer", async () => {
    await run({ iris: {} })
    const payload = body()
    const other = body()
    const correlationData = Buffer.from('counter-1')
    await client.publish('infer/request/alice/iris/predict', payload, { correlationData })
    await replyCount('counter-1', 1)
    await client.publish('infer/request/bob/iris/predict', payload, { correlationData })
    await client.publish('infer/request/alice/iris/predict', other, { correlationData })
    await replyCount('counter-1', 3)
    expect([callsWith(payload), callsWith(other)]).toEqual([2, 1])
    const nameless = body()
    for (let count = 0; count < 3; count++) await client.publish('infer/request/cam7/iris/predict', nameless)
    await expect.poll(() => callsWith(nameless), { timeout: 10_000 }).toBe(3)
  })

  test('runs again after a temporary error, and receives the same error after a permanent one', async () => {
    await run({ error400: {}, 'once-reset': { repeatable: false } })
    const payload = body()
    const correlationData = Buffer.from('errors')
    const ask = (model: string) =>
      client.publish(`infer/request/cam7/${model}/predict`, payload, { correlationData })
    await ask('error400')
    await replyCount('errors', 1)
    await ask('error400')
    await replyCount('errors', 2)
    expect(upstream.calls('error400')).toBe(1)
    expect(new Set(repliesWith('errors').map(({ user }) => user['status']))).toEqual(new Set(['400']))
  })

  test('for a model with repeatable: false, is answered from memory or with maybe_executed', async () => {
    await run({ 'once-reset': { repeatable: false }, iris: { repeatable: false } })
    const payload = body()
    const correlationData = Buffer.from('once')
    const ask = (model: string) =>
      client.publish(`infer/request/cam7/${model}/predict`, payload, { correlationData })
    await ask('iris')
    await replyCount('once', 1)
    await ask('iris')
    await replyCount('once', 2)
    // The connection is reset after the request was sent: the request may have been executed, and its answer is
    // unknown.
    await ask('once-reset')
    await replyCount('once', 3)
    await ask('once-reset')
    await replyCount('once', 4)
    const outcomes = repliesWith('once').map(({ user }) => user['code'] ?? user['status'])
    expect(outcomes).toEqual(['200', '200', 'upstream_unreachable', 'maybe_executed'])
    expect(callsWith(payload)).toBe(2)
  })

  test('with or without an id, is not executed twice when it is redelivered after a lost connection', async () => {
    const payloads = { named: body(), nameless: body() }
    const connector = await run({ 'slow-1000': {} })
    const before = client.received.length
    await client.publish('infer/request/cut/slow-1000/predict', payloads.named, {
      correlationData: Buffer.from('cut'),
    })
    await client.publish('infer/request/cut/slow-1000/predict', payloads.nameless)
    await expect.poll(() => callsWith(payloads.named) + callsWith(payloads.nameless)).toBe(2)
    // The broker keeps the session and redelivers both requests while this process still executes them.
    await broker.stop('SIGTERM')
    await broker.start()
    const count = () =>
      client.received.slice(before).filter(({ topic }) => topic.startsWith('infer/reply/cut/')).length
    await expect.poll(count, { timeout: 20_000 }).toBeGreaterThanOrEqual(2)
    await expect
      .poll(() => metric(connector, /^inferwire_unacknowledged_requests (\d+)/m), { timeout: 20_000 })
      .toBe('0')
    expect(await metric(connector, /^inferwire_redelivered_requests_total (\d+)/m)).toBe('2')
    expect([callsWith(payloads.named), callsWith(payloads.nameless)]).toEqual([1, 1])
  }, 60_000)

  test('runs again if no answers are remembered', async () => {
    await run({ iris: {} }, { limits: { duplicates: { bytesMax: 0 } } })
    const payload = body()
    const correlationData = Buffer.from('no-memory')
    for (let count = 1; count <= 2; count++) {
      await client.publish('infer/request/cam7/iris/predict', payload, { correlationData })
      await replyCount('no-memory', count)
    }
    expect(callsWith(payload)).toBe(2)
  })
})

describe('a cancel message', () => {
  test('stops only the request with the same Correlation Data, whether that request is running or waiting', async () => {
    await run({ 'slow-2000': { limits: { concurrency: 1 } } })
    const topic = 'infer/request/cam7/slow-2000/predict'
    const payloads = { running: body(), waiting: body(), other: body() }
    for (const [name, payload] of Object.entries(payloads)) {
      await client.publish(topic, payload, { correlationData: Buffer.from(`cancel-${name}`) })
    }
    await expect.poll(() => callsWith(payloads.running)).toBe(1)
    const startedAt = performance.now()
    for (const name of ['waiting', 'running', 'running', 'unknown']) {
      await client.publish('infer/cancel/cam7/slow-2000', '', {
        correlationData: Buffer.from(`cancel-${name}`),
      })
    }
    for (const name of ['running', 'waiting', 'other']) await replyCount(`cancel-${name}`, 1)
    const codes = ['running', 'waiting', 'other'].map(
      (name) => repliesWith(`cancel-${name}`)[0]!.user['code'],
    )
    expect(codes).toEqual(['cancelled', 'cancelled', undefined])
    // The slot became free at once, so the third request did not wait for the whole duration of the first call.
    expect(performance.now() - startedAt).toBeLessThan(3_500)
    expect(callsWith(payloads.waiting)).toBe(0)
  })

  test('stops the request with the same id in the topic, but never a request of another client', async () => {
    await run({ 'slow-1500': {} })
    const payload = body()
    await client.publish('infer/request/cam7/slow-1500/predict/job/1', payload, {
      correlationData: Buffer.from('by-id'),
    })
    await expect.poll(() => callsWith(payload)).toBe(1)
    await client.publish('infer/cancel/mallory/slow-1500/predict/job/1', '')
    await client.publish('infer/cancel/cam7/slow-1500/predict/job/2', '')
    await client.publish('infer/cancel/cam7/iris/predict/job/1', '')
    await delay(200)
    expect(repliesWith('by-id')).toEqual([])
    await client.publish('infer/cancel/cam7/slow-1500/predict/job/1', '')
    await replyCount('by-id', 1)
    expect(repliesWith('by-id')[0]!.user['code']).toBe('cancelled')
  })

  test.each([5, '3.1.1'] as const)(
    'is sent by the SDK when a request is aborted (MQTT %s)',
    async (mqttVersion) => {
      const connector = await run({ 'slow-3000': {} })
      const sdk = await connect(broker.url, { mqttVersion })
      const abort = new AbortController()
      const payload = body()
      const asked = sdk.infer('slow-3000', payload, { operation: 'predict', signal: abort.signal })
      await expect.poll(() => callsWith(payload)).toBe(1)
      abort.abort()
      await expect(asked).rejects.toMatchObject({ code: 'cancelled' })
      const cancelled = () => metric(connector, /operation="predict",code="cancelled"\} (\d+)/m)
      await expect.poll(cancelled, { timeout: 2_000 }).toBe('1')
      await sdk.close()
    },
  )

  test('reaches the replica that runs the request', async () => {
    const share = { broker: { url: broker.url, share: 'replicas' } }
    const replicas = [await run({ 'slow-2000': {} }, share), await run({ 'slow-2000': {} }, share)]
    const names = Array.from({ length: 6 }, (_, index) => `replica-${index}`)
    const payloads = names.map(body)
    for (const [index, name] of names.entries()) {
      await client.publish('infer/request/cam7/slow-2000/predict', payloads[index]!, {
        correlationData: Buffer.from(name),
      })
    }
    const started = () => payloads.reduce((sum, payload) => sum + callsWith(payload), 0)
    await expect.poll(started).toBe(6)
    for (const name of names) {
      await client.publish('infer/cancel/cam7/slow-2000', '', { correlationData: Buffer.from(name) })
    }
    for (const name of names) {
      await replyCount(name, 1)
      expect(repliesWith(name)[0]!.user['code']).toBe('cancelled')
    }
    const counts = await Promise.all(replicas.map((replica) => metric(replica, /code="cancelled"\} (\d+)/m)))
    expect(counts.map(Number).reduce((sum, count) => sum + count)).toBe(6)
    expect(Math.min(...counts.map(Number))).toBeGreaterThan(0)
  })

  test.each([
    ['infer/cancel', ''],
    ['infer/cancel/cam7', ''],
    ['infer/cancel/cam7/nomodel', 'x'],
    ['infer/cancel/cam7/iris', ''],
    ['infer/cancel/cam7/iris/nooperation/1', ''],
    ['infer/cancel/cam7/iris/predict/1', 'x'.repeat(100_000)],
  ])('is acknowledged and ignored if it matches no request: %s', async (topic, payload) => {
    const connector = await run({ iris: {} })
    const before = client.received.length
    await client.publish(topic, payload)
    await client.publish(topic, payload, undefined, true)
    await client.publish(topic, '', undefined, true)
    await client.ask('infer/request/cam7/iris/predict', body())
    await expect.poll(() => metric(connector, /^inferwire_unacknowledged_requests (\d+)/m)).toBe('0')
    expect(client.received.length - before).toBe(1)
  })
})

describe('limits', () => {
  test('a client that exceeds its limit of requests in flight receives an error at once', async () => {
    await run({ 'slow-500': {} }, { limits: { client: { inFlightMax: 3 } } })
    const replies = await Promise.all([...Array.from({ length: 6 }, () => askSlow('loud')), askSlow('quiet')])
    const refused = replies.filter(({ user }) => user['code'] === 'overloaded')
    expect(refused.map(({ topic }) => topic.split('/')[2])).toEqual(['loud', 'loud', 'loud'])
    expect(refused[0]!.json()).toMatchObject({ status: 429, retryable: true, retry_after_ms: 500 })
    expect(replies.at(-1)!.user['status']).toBe('200')
  })

  test('a rate limit allows a burst as large as the number of requests per second', async () => {
    await run({ iris: {} }, { limits: { client: { requestsPerSecond: 5 } } })
    const replies = await Promise.all(
      Array.from({ length: 20 }, () => client.ask('infer/request/fast/iris/predict', body())),
    )
    const answered = replies.filter(({ user }) => user['status'] === '200').length
    expect(answered).toBeGreaterThanOrEqual(5)
    expect(answered).toBeLessThan(12)
  })

  test('a client with 100 times the load of any other client does not block the answers to the others', async () => {
    await run({ 'slow-20': { limits: { concurrency: 4, queueDepthMax: 200 } } })
    const loud = await TestClient.connect(broker.url)
    let isOver = false
    // The model's capacity is 200 requests per second; this client alone sends about ten times as many.
    const flood = (async () => {
      while (!isOver) {
        for (let count = 0; count < 20; count++) {
          void loud.publish('infer/request/loud/slow-20/predict', body(), {
            correlationData: Buffer.from('flood'),
          })
        }
        await delay(10)
      }
    })()
    await delay(500)
    const quiet: Promise<Received>[] = []
    for (let round = 0; round < 3; round++) {
      for (let index = 0; index < 99; index++) {
        quiet.push(client.ask(`infer/request/quiet-${index}/slow-20/predict`, body()))
        await delay(5)
      }
    }
    const replies = await Promise.all(quiet)
    isOver = true
    await flood
    await loud.close()
    const answered = replies.filter(({ user }) => user['status'] === '200').length
    expect(answered / replies.length).toBeGreaterThanOrEqual(0.95)
  }, 60_000)
})

test('connectors of one group share the requests: each request is executed only once, and each connector receives some of them', async () => {
  const share = { broker: { url: broker.url, share: 'group' } }
  const replicas = [await run({ iris: {} }, share), await run({ iris: {} }, share)]
  const payloads = Array.from({ length: 40 }, body)
  const topic = 'infer/request/cam7/iris/predict'
  const replies = await Promise.all(payloads.map((payload) => client.ask(topic, payload)))
  expect(new Set(replies.map(({ user }) => user['status']))).toEqual(new Set(['200']))
  expect(payloads.map(callsWith)).toEqual(payloads.map(() => 1))
  const answered = await Promise.all(
    replicas.map(async (replica) =>
      Number(await metric(replica, /requests_total\{model="iris",operation="predict",code="ok"\} (\d+)/m)),
    ),
  )
  expect([answered[0]! + answered[1]!, Math.min(...answered) > 0]).toEqual([40, true])
})

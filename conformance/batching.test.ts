// Tests that requests of many clients share calls, with a fake model server and with KServe's Python server.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { ConfigInput } from '@inferwire/connector'
import { runConnector, type TestConnector } from './fixtures/connector.ts'
import { startKserveServer } from './fixtures/kserve-server.ts'
import { startMosquitto, type Mosquitto } from './fixtures/mosquitto.ts'
import { TestClient, type Received, type RequestProperties } from './fixtures/mqtt-client.ts'
import { Gate, json, type Answer } from './rig/answers.ts'
import { digest } from './rig/model-behaviours.ts'
import { FakeModelServer } from './rig/model-server.ts'

const CLIENTS = 24

let broker: Mosquitto
let clients: TestClient[]
const running: TestConnector[] = []

beforeAll(async () => {
  broker = await startMosquitto()
  clients = await Promise.all(
    Array.from({ length: CLIENTS }, async (_, index) => {
      const client = await TestClient.connect(broker.url)
      await client.subscribe(`infer/reply/cam${index}/#`)
      return client
    }),
  )
})

afterEach(async () => {
  for (const { connector } of running.splice(0)) await connector.stop()
})

afterAll(async () => {
  await Promise.all(clients.map((client) => client.close()))
  await broker.stop()
})

type Model = NonNullable<ConfigInput['models']>[string]

async function run(model: Model, name = 'iris'): Promise<TestConnector> {
  const connector = await runConnector({ broker: { url: broker.url }, models: { [name]: model } })
  running.push(connector)
  return connector
}

/** Every client sends one request at the same time. */
function askAll(
  topic: string,
  bodyOf: (index: number) => string | Buffer,
  propertiesOf: (index: number) => RequestProperties = () => ({}),
): Promise<Received[]> {
  return Promise.all(
    clients.map((client, index) =>
      client.ask(`infer/request/cam${index}/${topic}`, bodyOf(index), propertiesOf(index)),
    ),
  )
}

async function sampleOf(connector: TestConnector, name: string): Promise<number> {
  const text = await (await fetch(`${connector.connector.adminUrl}/metrics`)).text()
  return Number(new RegExp(`^${name}\\{[^}]*\\} (\\S+)$`, 'm').exec(text)?.[1])
}

// Each prediction is the digest of its instance, so that the tests notice an answer to another request.
const perInstance: Answer = (reply, call) => {
  const { instances } = JSON.parse(call.body.toString()) as { instances: unknown[] }
  if (instances.includes('poison')) return json(500, { error: 'ValueError : poison' })(reply, call)
  json(200, { predictions: instances.map((instance) => digest(JSON.stringify(instance))) })(reply, call)
}

const poisonAt13 = (index: number): string =>
  index === 13 ? '{"instances":["poison"]}' : `{"instances":["${index}"]}`

describe('with a fake model server', () => {
  const gate = new Gate()
  let upstream: FakeModelServer
  let isHeld = false

  beforeAll(async () => {
    const held = gate.hold(perInstance)
    upstream = await FakeModelServer.start({
      answer: (reply, call) => (isHeld ? held : perInstance)(reply, call),
    })
  })

  afterEach(() => {
    isHeld = false
    gate.release()
    upstream.requests.length = 0
  })

  afterAll(() => upstream.stop())

  const model = (given: Partial<Model> = {}): Model => ({
    url: upstream.url,
    protocolVersion: 'v1',
    limits: { concurrency: 1 },
    batching: { sizeMax: 16 },
    ...given,
  })

  // Holds the first call until all requests have been received, so that the remaining requests can be merged.
  async function askWhileHeld(
    bodyOf: (index: number) => string,
    connector: TestConnector,
  ): Promise<Received[]> {
    isHeld = true
    const replies = askAll('iris/predict', bodyOf)
    const received = async (): Promise<number> =>
      (await sampleOf(connector, 'inferwire_queue_depth')) +
      (await sampleOf(connector, 'inferwire_upstream_inflight_requests'))
    await expect.poll(received).toBe(CLIENTS)
    await expect.poll(() => gate.open).toBe(1)
    isHeld = false
    gate.release()
    return await replies
  }

  test('requests of many clients share calls, and every client receives its own answer', async () => {
    const connector = await run(model())
    const replies = await askWhileHeld((index) => `{"instances":[["cam",${index}],[${index}.50]]}`, connector)
    replies.forEach((reply, index) => {
      expect(reply.user['status']).toBe('200')
      const predictions = [['cam', index], [index + 0.5]].map((instance) => digest(JSON.stringify(instance)))
      expect(reply.json()).toEqual({ predictions })
    })
    // The first call contains only the requests received first; later calls have up to 16 instances, two per request.
    const calls = upstream.calls('iris')
    expect(calls).toBeLessThanOrEqual(5)
    expect(upstream.bodies('iris').join()).toContain('.50]')
    expect(await sampleOf(connector, 'inferwire_batch_size_count')).toBe(calls)
    expect(await sampleOf(connector, 'inferwire_batch_size_sum')).toBe(2 * CLIENTS)
    expect(await sampleOf(connector, 'inferwire_batch_failovers_total')).toBe(0)
    const waits = replies.map(({ user }) => Number(/batch;dur=([\d.]+)/.exec(user['server-timing']!)?.[1]))
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(0)
    expect(Math.max(...waits)).toBeGreaterThan(0)
  })

  test('a poisoned request receives its own error, and all others receive their answers', async () => {
    const connector = await run(model())
    const replies = await askWhileHeld(poisonAt13, connector)
    replies.forEach((reply, index) => {
      if (index !== 13) expect(reply.json()).toEqual({ predictions: [digest(`"${index}"`)] })
      else expect([reply.user['status'], reply.json()]).toEqual(['500', { error: 'ValueError : poison' }])
    })
    expect(await sampleOf(connector, 'inferwire_batch_failovers_total')).toBeGreaterThan(0)
  })

  test('a request that is cancelled or too late is answered at once; its call continues for the other requests', async () => {
    await run(model({ batching: { sizeMax: 16, delayMaxMs: 50 } }))
    isHeld = true
    const replies = askAll(
      'iris/predict',
      (index) => `{"instances":[${index}]}`,
      (index) => ({
        correlationData: Buffer.from(`one-${index}`),
        ...(index === 2 ? { userProperties: { 'timeout-ms': '300' } } : {}),
      }),
    )
    await expect.poll(() => gate.open).toBe(1)
    await clients[1]!.publish('infer/cancel/cam1/iris/predict', '', { correlationData: Buffer.from('one-1') })
    const codeOf = async (index: number): Promise<string | undefined> => {
      const reply = await clients[index]!.wait(
        ({ properties }) => properties.correlationData?.toString() === `one-${index}`,
      )
      return reply.user['code']
    }
    expect(await codeOf(1)).toBe('cancelled')
    expect(await codeOf(2)).toBe('deadline_exceeded')
    expect(gate.open).toBe(1)
    isHeld = false
    gate.release()
    const statuses = (await replies).map(({ user }) => user['status'])
    expect(statuses.filter((status) => status === '200')).toHaveLength(CLIENTS - 2)
  })

  test('without batching, each request has its own call', async () => {
    const connector = await run(model({ batching: 'off' }))
    const before = upstream.calls('iris')
    const replies = await askAll('iris/predict', (index) => `{"instances":[${index}]}`)
    expect(replies.every(({ user }) => user['status'] === '200')).toBe(true)
    expect(replies[0]!.user['server-timing']).not.toContain('batch')
    expect(upstream.calls('iris') - before).toBe(CLIENTS)
    expect(await sampleOf(connector, 'inferwire_batch_size_count')).toBeNaN()
  })
})

const row = (index: number): number[] => [4 + index / 8, 3.5 - index / 20, 1 + index / 4, index / 10]

const jsonLength = (body: Buffer): number => body.lastIndexOf('}') + 1

function answerOf(body: Buffer, length: string | undefined): unknown {
  const end = length === undefined ? body.length : Number(length)
  const binary = body.subarray(end).toString('hex')
  return { json: JSON.parse(body.subarray(0, end).toString()) as unknown, binary }
}

const invalidAt5 = (index: number): string =>
  `{"instances":[[${index === 5 ? '1,2,3,"x"' : row(index).join()}]]}`

function tensorOf(index: number, isBinary: boolean): Buffer {
  const data = [...row(index), ...row(CLIENTS - index)]
  const bytes = Buffer.from(Float32Array.from(data).buffer)
  const values = isBinary ? { parameters: { binary_data_size: bytes.length } } : { data }
  const inputs = [{ name: 'input-0', shape: [2, 4], datatype: 'FP32', ...values }]
  const text = JSON.stringify({ id: `r${index}`, inputs, parameters: { binary_data_output: isBinary } })
  return isBinary ? Buffer.concat([Buffer.from(text), bytes]) : Buffer.from(text)
}

const replied = ({ payload, user }: Received): unknown =>
  answerOf(payload, user['inference-header-content-length'])

describe("with KServe's Python server", () => {
  let server: { readonly url: string; stop(): Promise<void> }

  beforeAll(async () => {
    server = await startKserveServer()
  })

  afterAll(() => server.stop())

  async function directly(path: string, body: Buffer | string, length?: number): Promise<unknown> {
    const headers: Record<string, string> =
      length === undefined
        ? { 'content-type': 'application/json' }
        : { 'content-type': 'application/octet-stream', 'inference-header-content-length': String(length) }
    const response = await fetch(`${server.url}${path}`, { method: 'POST', headers, body: body as never })
    const answer = Buffer.from(await response.arrayBuffer())
    return answerOf(answer, response.headers.get('inference-header-content-length') ?? undefined)
  }

  const model = (): Model => ({ url: server.url, limits: { concurrency: 1 }, batching: 'auto' })

  test.each<[string, string, (index: number) => string | Buffer, boolean]>([
    ['V1', 'predict', (index) => JSON.stringify({ instances: [row(index)] }), false],
    ['V2 with JSON', 'infer', (index) => tensorOf(index, false), false],
    ['V2 with binary tensors', 'infer', (index) => tensorOf(index, true), true],
  ])(
    '%s: requests share calls, and receive the same answers as directly from the server',
    async (_what, operation, bodyOf, isBinary) => {
      const connector = await run(model())
      await expect
        .poll(() => connector.log.some((line) => line.includes('model_exposed')), { timeout: 10_000 })
        .toBe(true)
      const path = operation === 'predict' ? '/v1/models/iris:predict' : '/v2/models/iris/infer'
      const bodies = clients.map((_, index) => bodyOf(index))
      const lengthOf = (index: number): number | undefined =>
        isBinary ? jsonLength(bodies[index] as Buffer) : undefined
      const propertiesOf = (index: number): RequestProperties =>
        isBinary
          ? {
              contentType: 'application/octet-stream',
              userProperties: { 'inference-header-content-length': String(lengthOf(index)) },
            }
          : {}
      const replies = await askAll(`iris/${operation}`, (index) => bodies[index]!, propertiesOf)
      expect(await sampleOf(connector, 'inferwire_batch_size_count')).toBeLessThan(CLIENTS / 2)
      expect(await sampleOf(connector, 'inferwire_batch_failovers_total')).toBe(0)
      for (const [index, reply] of replies.entries()) {
        expect(replied(reply)).toEqual(await directly(path, bodies[index]!, lengthOf(index)))
      }
    },
  )

  test("a request with an invalid row receives the server's error, and all others receive their answers", async () => {
    await run({ ...model(), protocolVersion: 'v1', batching: { sizeMax: 32, delayMaxMs: 100 } })
    const replies = await askAll('iris/predict', invalidAt5)
    for (const [index, reply] of replies.entries()) {
      expect(reply.user['status']).toBe(index === 5 ? '500' : '200')
      expect(replied(reply)).toEqual(await directly('/v1/models/iris:predict', invalidAt5(index)))
    }
  })
})

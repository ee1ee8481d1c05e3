// Tests the extension points on a real Mosquitto: a router for other topics, and an endpoint with multi-part answers.
// Each of the two is one file in extensions/, and requires no change to the connector.
import { createLog, loadConfig } from '@inferwire/connector'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { ModelGate } from '../packages/connector/src/admission/index.ts'
import { compose, type Composition } from '../packages/connector/src/compose.ts'
import type { ExposedModel } from '../packages/connector/src/step.ts'
import { CountingEndpoint } from './extensions/counting-endpoint.ts'
import { PlantRouter } from './extensions/plant-router.ts'
import { startMosquitto, type Mosquitto } from './fixtures/mosquitto.ts'
import { TestClient, type Received } from './fixtures/mqtt-client.ts'

let broker: Mosquitto
let client: TestClient
let rooms: Composition
let log: string[]
let runs = 0

beforeAll(async () => {
  broker = await startMosquitto({ config: ['max_packet_size 4000'] })
})

beforeEach(async () => {
  client = await TestClient.connect(broker.url)
  await client.subscribe('infer/reply/#')
  await client.subscribe('plant/+/scores')
})

afterEach(async () => {
  await client.close()
  await rooms.session.close()
})

afterAll(() => broker.stop())

async function start(replyLevel = 'scores'): Promise<void> {
  runs += 1
  log = []
  const name = `extended-${process.pid}-${runs}`
  const config = loadConfig({ env: {}, flags: { name, broker: { url: broker.url } } })
  const sink = { write: (line: string) => log.push(line) }
  let model: ExposedModel | undefined
  await new Promise<void>((ready) => {
    rooms = compose({
      config,
      log: createLog({ level: 'debug', format: 'json' }, sink),
      models: () => ({ cards: new Map(), ready: [], notReady: [], requestBytesMax: 10_000 }),
      keeper: () => undefined,
      ready,
      routers: [new PlantRouter(() => model!, replyLevel)],
    })
    model = counting(rooms)
    rooms.table.set(model)
    rooms.session.start()
  })
}

function counting({ budget, telemetry }: Composition): ExposedModel {
  const limits = { concurrency: 4, queueDepthMax: 8, queueBytesMax: 10_000, queueWaitMaxMs: 1_000 }
  const operation = {
    name: 'infer' as const,
    protocol: 'v2' as const,
    hasBody: true,
    mayEmit: true,
    endpoint: new CountingEndpoint(),
    figures: telemetry.figures('counting', 'infer'),
  }
  return {
    name: 'counting',
    operations: new Map([['infer', operation]]),
    defaultOperation: operation,
    timeoutMs: 10_000,
    requestBytesMax: 10_000,
    passHeaders: new Set(),
    repeatable: true,
    gate: new ModelGate('counting', limits, budget),
  }
}

const correlationData = Buffer.from('stream 1')
const isFinal = ({ user }: Received): boolean => user['final'] === 'true'
const seen = (): unknown[] =>
  client.received.map(({ payload, user }) => [
    payload.toString().trim(),
    user['seq'],
    user['final'],
    user['status'],
  ])

async function ask(topic: string, body: object, isEnd = isFinal): Promise<void> {
  await client.publish(topic, JSON.stringify(body), { correlationData })
  await client.wait(isEnd, 'the last message')
}

const REQUEST = 'infer/request/cam7/counting'

test('a multi-part answer is numbered in order, ends with a final message, and settles the request', async () => {
  await start()
  await ask(REQUEST, { to: 3 })
  expect(seen()).toEqual([
    ['1', '0', undefined, undefined],
    ['2', '1', undefined, undefined],
    ['3', '2', undefined, undefined],
    ['[DONE]', '3', 'true', '200'],
  ])
  expect(client.received.every(({ properties }) => properties.correlationData!.equals(correlationData))).toBe(
    true,
  )
  await expect.poll(() => rooms.session.unacknowledged).toBe(0)
  expect([rooms.pipeline.inFlight, rooms.budget.bytes]).toEqual([0, 0])
})

test('thousands of parts arrive complete and in order', async () => {
  await start()
  await ask(REQUEST, { to: 3_000 })
  expect(seen().map((message) => (message as string[])[1])).toEqual(
    Array.from({ length: 3_001 }, (_, index) => String(index)),
  )
})

test('an endpoint that emits no parts answers with a single message', async () => {
  await start()
  await ask(REQUEST, { to: 0 }, () => true)
  expect(seen()).toEqual([['[DONE]', undefined, undefined, '200']])
})

test('a stream that fails ends with its error', async () => {
  await start()
  await ask(REQUEST, { to: 1, breaks: true })
  expect(seen().at(-1)).toEqual([expect.stringContaining('"stream_interrupted"'), '1', 'true', '502'])
})

test("a part that exceeds the broker's Maximum Packet Size ends the stream with response_too_large", async () => {
  await start()
  await ask(REQUEST, { to: 5, bytes: 6_000 })
  expect(seen().at(-1)).toEqual([
    expect.stringContaining('"response_too_large"'),
    expect.any(String),
    'true',
    '502',
  ])
  await expect.poll(() => rooms.session.unacknowledged).toBe(0)
})

test('a part that an endpoint emits after the end of the answer is logged, but not published', async () => {
  await start()
  await ask(REQUEST, { to: 1, goesOn: true })
  await expect.poll(() => log.some((line) => line.includes('"fault"'))).toBe(true)
  expect(seen()).toHaveLength(2)
})

test('a router for other topics receives requests from its subscription, and answers on the topic that it chooses', async () => {
  await start()
  await ask('plant/line1/features', { to: 1 })
  expect(client.received.map(({ topic }) => topic)).toEqual(['plant/line1/scores', 'plant/line1/scores'])
  await ask(REQUEST, { to: 0 }, ({ topic }) => topic.startsWith('infer/reply/'))
})

test("a route whose reply topic matches one of the connector's own subscriptions causes no loop", async () => {
  await start('features')
  await client.publish('plant/line1/features', '{"to":0}', { correlationData })
  await expect.poll(() => log.filter((line) => line.includes('reply_loop'))).toHaveLength(1)
  await ask(REQUEST, { to: 0 }, () => true)
  expect(log.filter((line) => line.includes('reply_loop'))).toHaveLength(1)
})

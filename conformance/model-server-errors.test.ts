// Tests the replies to clients while a model server is loading, full or failing. The fake server
// returns the answers of Triton 2.51.0 and MLServer 1.7.1.
import { gzipSync } from 'node:zlib'
import type { ProblemBody } from '@inferwire/protocol'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { runConnector, type TestConnector } from './fixtures/connector.ts'
import { startMosquitto, type Mosquitto } from './fixtures/mosquitto.ts'
import { TestClient, type Received } from './fixtures/mqtt-client.ts'
import { text, type Answer } from './rig/answers.ts'
import { FakeModelServer } from './rig/model-server.ts'

const BODY = '{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1]}]}'
const ANSWER = '{"model_name":"late","outputs":[]}'

interface Said {
  readonly status: number
  readonly type?: string
  readonly body: string
}

const good: Said = { status: 200, body: ANSWER }
const error = (status: number, text: string): Said => ({ status, body: JSON.stringify({ error: text }) })

let broker: Mosquitto
let running: TestConnector
let client: TestClient
let said = good
let callsBefore = 0
let server: FakeModelServer

const answer: Answer = (reply, call) =>
  text(said.status, said.type ?? 'application/json', said.body)(reply, call)

beforeAll(async () => {
  server = await FakeModelServer.start({ answer, describe: answer })
  broker = await startMosquitto()
  const { url } = server
  running = await runConnector({
    broker: { url: broker.url },
    models: {
      late: { url, protocolVersion: 'v2', retry: { attemptsMax: 1 } },
      busy: { url, protocolVersion: 'v2' },
      once: { url, protocolVersion: 'v2', repeatable: false, retry: { attemptsMax: 1 } },
      raises: { url, protocolVersion: 'v2' },
      open: { url, protocolVersion: 'v2', errorText: 'whole' },
    },
  })
  client = await TestClient.connect(broker.url)
  await client.subscribe('infer/reply/cam/#')
})

beforeEach(() => {
  said = good
  callsBefore = server.requests.length
})

afterAll(async () => {
  await client.close()
  await running.connector.stop()
  await broker.stop()
  await server.stop()
})

const calls = (): number => server.requests.length - callsBefore

const ask = (model: string, body: string | Buffer = BODY): Promise<Received> =>
  client.ask(`infer/request/cam/${model}/infer`, body)

// Repeats the request with the same Correlation Data and body.
async function repeat(correlationData: Buffer, model = 'late'): Promise<Received> {
  client.received.length = 0
  return client.ask(`infer/request/cam/${model}/infer`, BODY, { correlationData })
}

describe('a model that is still loading', () => {
  test.each([
    ['Triton', error(404, "Request for unknown model: 'late' is not found")],
    ['Triton', error(404, "Request for unknown model: 'late' has no available versions")],
    ['Triton', error(400, 'Model version not ready')],
    ['MLServer', error(400, 'Model late is not ready yet.')],
  ])('answers a repeated request after the model has loaded: %s, %o', async (name, loading) => {
    const correlationData = Buffer.from(`${name} ${loading.body}`)
    said = loading
    const early = await repeat(correlationData)
    expect(early.user).toMatchObject({ code: 'model_not_ready', status: '503' })
    expect(early.json()).toMatchObject({
      ...JSON.parse(loading.body),
      code: 'model_not_ready',
      retryable: true,
    })
    said = good
    const late = await repeat(correlationData)
    expect([late.user['status'], late.payload.toString()]).toEqual(['200', ANSWER])
  })

  test('is not reported for other 404 errors, and a repeated request calls the model again', async () => {
    said = error(404, 'Not Found')
    expect((await repeat(Buffer.from('404'))).user).toMatchObject({ code: 'upstream_error', status: '404' })
    said = good
    expect((await repeat(Buffer.from('404'))).user['status']).toBe('200')
  })

  test('is called again even with repeatable: false, because the request has not run', async () => {
    said = error(400, 'Model once is not ready yet.')
    expect((await repeat(Buffer.from('o'), 'once')).user['code']).toBe('model_not_ready')
    said = good
    expect((await repeat(Buffer.from('o'), 'once')).user['status']).toBe('200')
    expect(calls()).toBe(2)
  })

  test("results in model_not_ready if MLServer's readiness answer is an empty 400", async () => {
    said = { status: 400, type: 'text/plain', body: '' }
    const reply = await client.ask('infer/request/cam/late/ready', '')
    expect(reply.user).toMatchObject({ code: 'model_not_ready', status: '503' })
  })
})

test('an overloaded Triton is called once per request, and the client receives retry_after_ms', async () => {
  said = error(503, '[request id: <id_unknown>] Exceeds maximum queue size')
  const replies = await Promise.all(Array.from({ length: 40 }, () => ask('busy')))
  expect(calls()).toBe(40)
  for (const reply of replies) {
    const body = reply.json() as ProblemBody
    expect(body).toMatchObject({ code: 'overloaded', status: 429, retryable: true, retry_after_ms: 1_000 })
  }
})

test('a request that expired in the Triton queue is not repeated', async () => {
  said = error(503, 'Request timeout expired')
  expect((await ask('busy')).user).toMatchObject({ code: 'deadline_exceeded', status: '504' })
  expect(calls()).toBe(1)
})

test('a result that has the members of an error is treated as a result', async () => {
  for (const body of [
    '{"message":"Part 17 is fine.","score":0.93}',
    '{"error":"bearing worn","confidence":0.8}',
  ]) {
    said = { status: 200, body }
    const reply = await ask('late')
    expect([reply.user['status'], reply.payload.toString()]).toEqual(['200', body])
  }
})

describe('the text of an error', () => {
  const TRACEBACK =
    'Traceback (most recent call last):\n  File "/opt/lib/mlserver/model.py", line 49, in predict\n    x\nValueError: X has 2 features.\n'

  test("is stripped of tracebacks and paths in the reply; the log contains the server's address and the start of the text", async () => {
    said = { status: 500, type: 'text/plain', body: TRACEBACK }
    const reply = await ask('raises')
    expect(reply.user).toMatchObject({ code: 'upstream_error', status: '500' })
    expect(reply.payload.toString()).toBe('ValueError: X has 2 features.')
    const line = running.log.findLast((each) => each.includes('"upstream_error"'))
    expect(line).toMatch(/POST http:[^"]*\/v2\/models\/raises\/infer: 500 .*model\.py/)
  })

  test('is forwarded completely with errorText: whole', async () => {
    said = { status: 500, type: 'text/plain', body: TRACEBACK }
    expect((await ask('open')).payload.toString()).toBe(TRACEBACK)
  })

  test('of 70 kB is cut to 1,000 characters', async () => {
    said = error(500, 'x'.repeat(70_000))
    const reply = await ask('late')
    expect(reply.json()).toMatchObject({ error: 'x'.repeat(1_000), code: 'upstream_error', status: 500 })
  })
})

test('a gzip-compressed body is rejected, and never reaches the model', async () => {
  const reply = await ask('late', gzipSync(BODY))
  expect(reply.user).toMatchObject({ code: 'bad_payload', status: '400' })
  expect(calls()).toBe(0)
})

// Tests how errors of real model servers, sent over a real connection, are interpreted, and how often the server is
// called.
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Problem, type OperationName } from '@inferwire/protocol'
import { afterEach, describe, expect, test } from 'vitest'
import { Duplicates } from '../../duplicates/index.ts'
import type { Delivery, Endpoint, EndpointRequest } from '../../step.ts'
import { createLog, UpstreamFigures } from '../../telemetry/index.ts'
import { Circuit } from '../circuit.ts'
import { RetryBudget } from '../retry-budget.ts'
import {
  EXPIRED,
  FULL,
  LOADING,
  MODEL_RAISED,
  NOT_READY_EMPTY,
  TRACEBACK,
  UNKNOWN,
  type RecordedAnswer,
} from '../testing/recorded-answers.ts'
import type { UpstreamOptions } from '../upstream-options.ts'
import { withBreaker } from '../with-breaker.ts'
import { withRetry } from '../with-retry.ts'
import { openHttpUpstream } from './http-upstream.ts'
import { STREAM_LIMITS } from '../testing/stream-limits.ts'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

type Said = Pick<RecordedAnswer, 'status' | 'contentType' | 'body'> & {
  readonly headers?: Readonly<Record<string, string>>
}

interface StandIn {
  readonly upstream: ReturnType<typeof openHttpUpstream>
  readonly url: string
  calls: number
}

async function standIn(said: Said, options: Partial<UpstreamOptions> = {}): Promise<StandIn> {
  const server = createServer((request, response) => {
    request.resume().on('end', () => {
      stand.calls += 1
      const type = said.contentType === undefined ? {} : { 'content-type': said.contentType }
      response.writeHead(said.status, { ...type, ...said.headers }).end(said.body)
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  closing.push(
    () => server.close(),
    () => server.closeAllConnections(),
  )
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const upstream = openHttpUpstream({
    url,
    host: undefined,
    tls: {},
    credential: { headers: () => [] },
    model: 'late',
    dialects: ['v2', 'v1'],
    versions: [],
    callsMax: 10,
    responseBytesMax: 200_000,
    stream: STREAM_LIMITS,
    errorText: 'first-line',
    ...options,
  })
  closing.push(() => upstream.destroy())
  const stand: StandIn = { upstream, url, calls: 0 }
  return stand
}

const request = (): EndpointRequest => ({
  body: Buffer.from('{"inputs":[]}'),
  contentType: 'application/json',
  inferenceHeaderContentLength: undefined,
  headers: [],
  deadline: { atMs: Infinity, problem: undefined, waiting: undefined },
  emit: undefined,
})

async function problemOf(endpoint: Endpoint): Promise<Problem> {
  const outcome = await endpoint.call(request()).catch((error: unknown) => error)
  expect(outcome).toBeInstanceOf(Problem)
  return outcome as Problem
}

async function answered(
  said: Said,
  options: Partial<UpstreamOptions> = {},
  operation: OperationName = 'infer',
): Promise<Problem> {
  const { upstream } = await standIn(said, options)
  return problemOf(upstream.endpoint(operation, 'v2')!)
}

const textOf = (problem: Problem): string =>
  problem.body === undefined ? problem.message : Buffer.from(problem.body).toString()

function isRemembered(problem: Problem): boolean {
  const duplicates = new Duplicates({ bytesMax: 100_000, windowMs: 120_000 })
  const key = 'k'.repeat(32)
  const delivery = { payload: Buffer.alloc(0), dup: false, properties: {} } as Delivery
  duplicates.ended(duplicates.begin(key, 0, delivery, true), problem, false, 0)
  return duplicates.find(key, 1) !== undefined
}

const named = (answers: readonly RecordedAnswer[]): [string, RecordedAnswer][] =>
  answers.map((said) => [`${said.server}, ${said.what}: ${said.status} ${said.body}`, said])

interface Trial {
  readonly endpoint: Endpoint
  readonly circuit: Circuit
  readonly stand: StandIn
  readonly figures: UpstreamFigures
}

// Wraps the endpoint as for an exposed model, except that a single failure opens the circuit.
async function trial(said: Said): Promise<Trial> {
  const stand = await standIn(said)
  const figures = new UpstreamFigures('late')
  const circuit = new Circuit({
    failuresMax: 1,
    openMinMs: 60_000,
    openMaxMs: 60_000,
    timeoutMinMs: 100,
    probesMax: 1,
    model: 'late',
    url: stand.url,
    log: createLog({ level: 'error', format: 'json' }, { write: () => undefined }),
    figures,
  })
  const budget = new RetryBudget(30, performance.now() - 60_000)
  const bare = stand.upstream.endpoint('infer', 'v2')!
  const retrying = withRetry(bare, {
    attemptsMax: 3,
    minMs: 1,
    maxMs: 2_000,
    isRepeatable: true,
    budget,
    figures,
    retrying: (error) => circuit.attemptFailed(error),
  })
  return { endpoint: withBreaker(retrying, circuit), circuit, stand, figures }
}

describe('a loading model', () => {
  test.each(named(LOADING))('is reported as not ready, not as a permanent error: %s', async (_what, said) => {
    const problem = await answered(said)
    expect(problem).toMatchObject({ code: 'model_not_ready', status: 503, retryable: true })
    // Clients without user properties need the body. KServe's member `error` contains the server's own text.
    expect(problem.toBody().error).toBe((JSON.parse(said.body) as { error: string }).error)
    expect(problem.body).toBeUndefined()
    expect(isRemembered(problem)).toBe(false)
  })

  test('is not assumed if the model is unknown to KServe; that error is passed on, but not remembered for repeated requests', async () => {
    const problem = await answered(UNKNOWN)
    expect(problem).toMatchObject({ code: 'upstream_error', status: 404, retryable: false })
    expect(isRemembered(problem)).toBe(false)
  })

  test('is reported as not ready even if the status is 400', async () => {
    expect(await answered({ ...LOADING[2]!, status: 400 })).toMatchObject({ code: 'model_not_ready' })
  })

  test("is reported as not ready for MLServer's empty 400, but only in response to the operation ready", async () => {
    const problem = await answered(NOT_READY_EMPTY, {}, 'ready')
    expect(problem).toMatchObject({ code: 'model_not_ready', status: 503, retryable: true })
    // For any other operation an empty 400 means a bad request.
    expect(await answered(NOT_READY_EMPTY)).toMatchObject({ code: 'upstream_error', status: 400 })
  })

  test.each([
    [400, 'Sensor 4 is not ready yet.'],
    [400, 'The camera says: Model iris is not ready yet.'],
    [400, 'Model iris is not ready yet. Check: Model version not ready'],
    [500, 'Model iris is not ready yet.'],
    [400, "no input named 'Request for unknown model: x'"],
    [422, 'Model version not ready'],
  ])(
    'is not assumed for %d "%s", which may be the model\'s error for a single request',
    async (status, text) => {
      const problem = await answered({
        status,
        contentType: 'application/json',
        body: JSON.stringify({ error: text }),
      })
      expect(problem).toMatchObject({ code: 'upstream_error', status, retryable: false })
      expect(isRemembered(problem)).toBe(true)
    },
  )

  test('is not assumed for any other 404, which is not remembered for repeated requests either', async () => {
    for (const body of ['{"error":"Not Found"}', '{"detail":"Not Found"}', 'no such thing']) {
      const problem = await answered({ status: 404, contentType: 'application/json', body })
      expect(problem).toMatchObject({ code: 'upstream_error', status: 404 })
      expect(isRemembered(problem)).toBe(false)
    }
  })

  test("may be hidden by a gateway's error (a login, a missing route, a web page), which is not remembered for repeated requests", async () => {
    for (const said of [
      { status: 403, contentType: 'text/plain', body: 'RBAC: access denied' },
      { status: 404, contentType: undefined, body: '' },
      { status: 200, contentType: 'text/html', body: '<html>' },
    ]) {
      expect(isRemembered(await answered(said))).toBe(false)
    }
  })
})

describe('an overloaded server', () => {
  const tooMany: RecordedAnswer = {
    server: 'Envoy',
    what: 'a rate limit without Retry-After',
    status: 429,
    contentType: 'text/plain',
    body: 'local_rate_limited',
  }

  test.each(named([...FULL, tooMany]))(
    'is called once and reported as overloaded: %s',
    async (_what, said) => {
      const { endpoint, circuit, stand, figures } = await trial(said)
      let returns = 0
      circuit.onReturn = () => (returns += 1)
      const problem = await problemOf(endpoint)
      expect(problem).toMatchObject({ code: 'overloaded', status: 429, retryable: true, retryAfterMs: 1_000 })
      expect(problem.toBody()).toMatchObject({ retry_after_ms: 1_000 })
      expect([stand.calls, figures.retries, circuit.state, returns]).toEqual([1, 0, 0, 0])
      expect(isRemembered(problem)).toBe(false)
    },
  )

  test('is called again after the time in its Retry-After', async () => {
    const { endpoint, stand } = await trial({ ...FULL[0]!, headers: { 'retry-after': '0' } })
    expect(await problemOf(endpoint)).toMatchObject({ code: 'overloaded', retryAfterMs: 0 })
    expect(stand.calls).toBe(3)
  })

  test('is not called again for a request that expired in its queue', async () => {
    const { endpoint, circuit, stand } = await trial(EXPIRED)
    const problem = await problemOf(endpoint)
    expect(problem).toMatchObject({ code: 'deadline_exceeded', status: 504, retryable: true })
    expect([stand.calls, circuit.state]).toEqual([1, 0])
  })

  test('is recognized only by the complete known text: a 503 with additional text means model_not_ready', async () => {
    for (const text of ['Sensor: Exceeds maximum queue size', 'Request timeout expired for line 3']) {
      const said = { ...FULL[0]!, body: JSON.stringify({ error: text }) }
      expect((await problemOf((await trial(said)).endpoint)).code).toBe('model_not_ready')
    }
  })
})

describe('the logged detail of an error contains the address, the status and the text', () => {
  test.each<[string, Said]>([
    ["a gateway's 403", { status: 403, contentType: 'text/plain', body: 'Forbidden by policy' }],
    ["a gateway's 431", { status: 431, contentType: undefined, body: '' }],
    ["a gateway's 504", { status: 504, contentType: 'text/plain', body: 'request timeout' }],
    ["a proxy's 407", { status: 407, contentType: 'text/plain', body: 'proxy authentication' }],
    ["the model server's 400", { status: 400, contentType: 'application/json', body: '{"error":"shape"}' }],
    ["the model server's 503", { status: 503, contentType: 'application/json', body: '{"error":"loads"}' }],
    ['a 429', { status: 429, contentType: 'application/json', body: '{"error":"busy"}' }],
  ])('%s', async (_what, said) => {
    const { upstream, url } = await standIn(said)
    const { detail, message } = await problemOf(upstream.endpoint('infer', 'v2')!)
    expect(detail).toContain(`POST ${url}/v2/models/late/infer: ${said.status} "`)
    expect(message).not.toContain(url)
  })

  test('an error with status 200', async () => {
    const said = { status: 200, contentType: 'application/json', body: '{"error":"boom"}' }
    const { upstream, url } = await standIn(said)
    const { detail } = await problemOf(upstream.endpoint('infer', 'v2')!)
    expect(detail).toBe(`POST ${url}/v2/models/late/infer: 200 with an error in the body: "boom"`)
  })
})

describe('clients receive', () => {
  const PATHS = /\/opt\/|\/models\/|\.py|Traceback/

  test('only the exception of an MLServer traceback, without paths', async () => {
    const problem = await answered(TRACEBACK)
    expect(problem).toMatchObject({ code: 'upstream_error', status: 500 })
    expect(textOf(problem)).toBe(
      'ValueError: X has 2 features, but LogisticRegression is expecting 4 features as input.',
    )
    expect(problem.message).not.toMatch(PATHS)
    expect(problem.detail).toMatch(/: 500 "ValueError: X has 2 features, .* \| Traceback .* File/)
  })

  test.each([
    ['above 8 kB', 200, 'text/plain', (text: string) => text],
    ['above 64 kB', 1_000, 'text/plain', (text: string) => text],
    ['in JSON, above 64 kB', 1_000, 'application/json', (text: string) => JSON.stringify({ error: text })],
  ])(
    'no path from a traceback %s, but the log contains the exception',
    async (_what, frames, contentType, bodyOf) => {
      const stack =
        '  File "/opt/conda/lib/python3.12/site-packages/model.py", line 7, in forward\n    step(x)\n'
      const text = `Traceback (most recent call last):\n${stack.repeat(frames)}RuntimeError: too deep\n`
      const problem = await answered({ status: 500, contentType, body: bodyOf(text) })
      expect(problem.detail).toMatch(/: 500 "RuntimeError: too deep \| Traceback /)
      expect(`${problem.message}${textOf(problem)}`).not.toMatch(PATHS)
    },
  )

  test('only the first line of a Triton error with a file path, still as JSON', async () => {
    const problem = await answered(MODEL_RAISED)
    const text = "Failed to process the request(s) for model 'addsub_0_0', message: RuntimeError: boom"
    expect(textOf(problem)).toBe(JSON.stringify({ error: text }))
    expect(problem.contentType).toBe(MODEL_RAISED.contentType)
  })

  test('the unchanged body with errorText "whole", and no part of the body with errorText "none"', async () => {
    expect(textOf(await answered(TRACEBACK, { errorText: 'whole' }))).toBe(TRACEBACK.body)
    const none = await answered(TRACEBACK, { errorText: 'none' })
    expect(none.body).toBeUndefined()
    expect(none.message).toBe('The model server answered with status 500.')
    expect(none.detail).toContain('Traceback')
    expect((await answered(LOADING[0]!, { errorText: 'none' })).message).toBe('The model is not ready.')
  })

  test.each([
    ['JSON', 'application/json', JSON.stringify({ error: 'a'.repeat(70_000) })],
    ['text', 'text/plain', 'a'.repeat(70_000)],
    ['FastAPI', 'application/json', JSON.stringify({ detail: 'a'.repeat(70_000), more: 1 })],
  ])('the first 1,000 characters of a 70 kB body: %s', async (_what, contentType, body) => {
    for (const errorText of ['first-line', 'whole'] as const) {
      const problem = await answered({ status: 500, contentType, body }, { errorText })
      expect(problem).toMatchObject({ code: 'upstream_error', status: 500, message: 'a'.repeat(1_000) })
      expect(problem.body).toBeUndefined()
    }
  })
})

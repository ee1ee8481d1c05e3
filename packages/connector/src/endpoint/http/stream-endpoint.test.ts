// Tests streamed answers of a server that behaves as real model servers do, or misbehaves.
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'
import { Problem, type Dialect, type OperationName } from '@inferwire/protocol'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { RequestDeadline } from '../../admission/index.ts'
import type { EndpointRequest, EndpointResponse } from '../../step.ts'
import { STREAM_LIMITS } from '../testing/stream-limits.ts'
import { UpstreamFailure } from '../upstream-failure.ts'
import type { HttpPool } from './http-pool.ts'
import { HttpUpstream } from './http-upstream.ts'
import { openPool } from './open-pool.ts'

type Answer = (response: ServerResponse, request: IncomingMessage) => void

let server: Server
let pool: HttpPool
let answer: Answer
let requests: { url: string; body: string }[]
let closedEarly: Promise<unknown>

const LIST = JSON.stringify({ object: 'list', data: [{ id: 'llm', object: 'model' }] })

beforeEach(async () => {
  requests = []
  server = createServer((request, response) => {
    if (request.method === 'GET') {
      const isList = request.url === '/v1/models'
      response.writeHead(isList ? 200 : 404, { 'content-type': 'application/json' })
      return void response.end(isList ? LIST : '{"detail":"Not Found"}')
    }
    let body = ''
    request.on('data', (chunk: Buffer) => (body += chunk.toString()))
    request.on('end', () => {
      requests.push({ url: request.url!, body })
      closedEarly = once(response, 'close')
      answer(response, request)
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  pool = openPool({ url: origin(), tls: {}, callsMax: 10 })
})
afterEach(async () => {
  await pool.destroy()
  server.closeAllConnections()
  server.close()
})

const origin = (): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`

interface Outcome {
  readonly parts: string[]
  readonly response?: EndpointResponse
  readonly problem?: Problem
}

interface CallOptions {
  readonly operation?: OperationName
  readonly dialect?: Dialect
  readonly body?: string
  readonly limits?: Partial<typeof STREAM_LIMITS>
  readonly timeoutMs?: number
  readonly clientBudgetMs?: number
  readonly eventBytesMax?: number
  readonly coalesceMs?: number
  readonly onPart?: (deadline: RequestDeadline, count: number) => void
}

async function call({
  operation = 'chat',
  dialect = 'openai',
  ...options
}: CallOptions = {}): Promise<Outcome> {
  const target = {
    pool,
    origin: origin(),
    pathPrefix: '',
    host: undefined,
    credential: { headers: () => [] },
    responseBytesMax: options.eventBytesMax ?? 10_000,
    stream: { ...STREAM_LIMITS, ...options.limits },
    errorText: 'first-line' as const,
  }
  const endpoint = new HttpUpstream(target, 'llm', [dialect]).endpoint(operation, dialect)!
  const nowMs = performance.now()
  const { timeoutMs = 10_000, clientBudgetMs } = options
  const deadline = new RequestDeadline(nowMs, timeoutMs, nowMs, clientBudgetMs)
  const parts: string[] = []
  const request: EndpointRequest = {
    body: Buffer.from(options.body ?? '{"stream":true,"messages":[]}'),
    contentType: 'application/json',
    inferenceHeaderContentLength: undefined,
    headers: [],
    deadline,
    coalesceMs: options.coalesceMs,
    emit: ({ body, contentType }) => {
      expect(contentType).toBe('application/json')
      parts.push(Buffer.from(body).toString())
      options.onPart?.(deadline, parts.length)
    },
  }
  try {
    return { parts, response: await endpoint.call(request) }
  } catch (error) {
    return { parts, problem: Problem.from(error) }
  } finally {
    deadline.end()
  }
}

const SSE = { 'content-type': 'text/event-stream; charset=utf-8' }
const chunk = (content: string, finish: string | null = null): string =>
  JSON.stringify({ id: 'c', choices: [{ index: 0, delta: { content }, finish_reason: finish }] })
const event = (data: string): string => `data: ${data}\n\n`
const DONE = event('[DONE]')
const sending =
  (...events: string[]): Answer =>
  (response) =>
    response.writeHead(200, SSE).end(events.join(''))
// Sends the events, and breaks the connection without the end of the chunked body.
const breaking =
  (...events: string[]): Answer =>
  (response) => {
    response.writeHead(200, SSE)
    response.write(events.join(''), () => setImmediate(() => response.destroy()))
  }

const END = { status: 200, contentType: 'text/plain', endsStream: true }

test('each event becomes a part, byte for byte, and the event that ends the stream becomes the response', async () => {
  const odd = '{"choices" : [ ], "n":9007199254740993,"x":"\\u00fc"}'
  answer = sending(': ping\n\n', event(chunk('a')), event(odd), event(chunk('b', 'stop')), DONE)
  const { parts, response } = await call()
  expect(parts).toEqual([chunk('a'), odd, chunk('b', 'stop')])
  expect(response).toMatchObject(END)
  expect(Buffer.from(response!.body).toString()).toBe('[DONE]')
  expect(requests).toEqual([{ url: '/v1/chat/completions', body: '{"stream":true,"messages":[]}' }])
})

test('the token counts of the last chunk are in the response', async () => {
  const usage = JSON.stringify({
    choices: [],
    usage: { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 },
  })
  answer = sending(event(chunk('a', 'stop')), event(usage), DONE)
  const { parts, response } = await call()
  expect(parts.at(-1)).toBe(usage)
  expect(response).toMatchObject({ ...END, usage: { promptTokens: 5, completionTokens: 2 } })
})

test('a whole answer, even to a request for a stream, has no parts, and its token counts are read', async () => {
  const whole =
    '{"choices":[{"message":{"content":"\\"usage\\":{}"}}],"usage":{"prompt_tokens":1,"completion_tokens":2}}'
  answer = (response) => response.writeHead(200, { 'content-type': 'application/json' }).end(whole)
  const { parts, response } = await call()
  expect(parts).toEqual([])
  expect(response).toMatchObject({
    status: 200,
    contentType: 'application/json',
    usage: { promptTokens: 1, completionTokens: 2 },
  })
  expect(Buffer.from(response!.body).toString()).toBe(whole)
})

test('a stream without [DONE] is complete if each of its choices has a finish reason', async () => {
  answer = sending(event(chunk('a')), event(chunk('', 'length')))
  expect((await call()).response).toMatchObject(END)
  const other = JSON.stringify({ choices: [{ index: 1, delta: { content: 'x' } }] })
  answer = sending(event(chunk('a')), event(other), event(chunk('', 'stop')))
  expect((await call()).problem).toMatchObject({ code: 'stream_interrupted' })
})

test('a stream whose connection breaks is complete if each choice already has a finish reason', async () => {
  answer = breaking(event(chunk('a')), event(chunk('', 'stop')))
  expect((await call()).response).toMatchObject(END)
  answer = (response) => {
    response.writeHead(200, SSE)
    response.write(event(chunk('', 'stop')))
  }
  expect((await call({ limits: { idleTimeoutMs: 30 } })).response).toMatchObject(END)
  const cancelled = new Problem('cancelled', 'x')
  const outcome = await call({ onPart: (deadline) => setImmediate(() => deadline.stop(cancelled)) })
  expect(outcome.problem).toMatchObject({ code: 'cancelled' })
})

test('a stream with fewer choices than the request asks for is not complete', async () => {
  const two = { body: '{"n":2,"stream":true,"messages":[]}' }
  answer = sending(event(chunk('a')), event(chunk('', 'stop')))
  expect((await call(two)).problem).toMatchObject({ code: 'stream_interrupted' })
  const other = JSON.stringify({ choices: [{ index: 1, delta: {}, finish_reason: 'stop' }] })
  answer = sending(event(chunk('', 'stop')), event(other))
  expect((await call(two)).response).toMatchObject(END)
})

test('a chunk with NaN or -Infinity, which JSON does not have, becomes a part, byte for byte', async () => {
  const choice = '{"index":0,"delta":{"content":"NaN"},"logprobs":{"content":[{"logprob":-Infinity}]}'
  const parts = [`{"choices":[${choice}}]}`, `{"choices":[${choice},"finish_reason":"stop"}],"x":NaN}`]
  answer = sending(...parts.map(event))
  const outcome = await call({ coalesceMs: 1_000 })
  expect(outcome.parts).toEqual(parts)
  expect(outcome.response).toMatchObject(END)
})

test.each<[string, Answer]>([
  ['an orderly end without [DONE] or a finish reason', sending(event(chunk('a')), event(chunk('b')))],
  ['a cut connection', breaking(event(chunk('a')), event(chunk('b')))],
  ['an end within an event', sending(event(chunk('a')), event(chunk('b')), 'data: {"choices"')],
])('%s after the first part causes stream_interrupted, which is retryable', async (_, given) => {
  answer = given
  const { parts, problem } = await call()
  expect(parts).toEqual([chunk('a'), chunk('b')])
  expect(problem).toMatchObject({ code: 'stream_interrupted', status: 502, retryable: true })
  // The connector must not retry the call.
  expect(problem).not.toBeInstanceOf(UpstreamFailure)
})

test('the last event counts even if no blank line follows it', async () => {
  answer = sending(event(chunk('a')), 'data: [DONE]')
  expect((await call()).response).toMatchObject(END)
})

test('a connection that breaks before the first part is a failure that can be retried', async () => {
  answer = breaking(': ping\n\n')
  const { parts, problem } = await call()
  expect([parts, problem!.code]).toEqual([[], 'upstream_unreachable'])
  expect(problem).toBeInstanceOf(UpstreamFailure)
})

test.each<[string, string, number]>([
  ['an OpenAI error with a code as text', '{"error":{"message":"too long","type":"x","code":"400"}}', 400],
  ['an OpenAI error with a code as a number', '{"error":{"message":"too long","code":422}}', 422],
  ['an OpenAI error with a named code', '{"error":{"message":"too long","code":"length"}}', 500],
  ["KServe's error text", '{"error":"too long"}', 500],
  ['an older error of vLLM', '{"object":"error","message":"too long","code":400}', 400],
])('an event with %s ends the stream with that error', async (_, error, status) => {
  for (const before of [[], [chunk('a')]]) {
    answer = sending(...before.map(event), event(error), event(chunk('b')), DONE)
    const { parts, problem } = await call()
    expect(parts).toEqual(before)
    expect(problem).toMatchObject({ code: 'upstream_error', status })
    expect(Buffer.from(problem!.body!).toString()).toBe(error)
  }
})

test('an event named "error" is an error, whatever it contains', async () => {
  answer = sending(event(chunk('a')), `event: error\ndata: {"message":"x"}\n\n`)
  expect((await call()).problem).toMatchObject({ code: 'upstream_error', status: 500 })
})

test("errors before the stream have the server's own status and body", async () => {
  const body = '{"error":{"message":"no such thing","type":"BadRequestError","code":400}}'
  answer = (response) => response.writeHead(400, { 'content-type': 'application/json' }).end(body)
  const { problem } = await call()
  expect(problem).toMatchObject({ code: 'upstream_error', status: 400 })
  expect(Buffer.from(problem!.body!).toString()).toBe(body)
})

test.each<[string, Answer]>([
  ['an endless line', (response) => endless(response, 'data: ', 'x'.repeat(1_000))],
  ['an endless comment', (response) => endless(response, event(chunk('a')) + ':', 'x'.repeat(1_000))],
  ['an event without an end', (response) => endless(response, '', `data: ${'x'.repeat(100)}\n`)],
])('%s causes response_too_large, and closes the connection', async (_, given) => {
  answer = given
  expect((await call()).problem).toMatchObject({ code: 'response_too_large' })
  await closedEarly
})

function endless(response: ServerResponse, start: string, more: string): void {
  response.writeHead(200, SSE)
  response.write(start)
  const write = (): void => {
    if (response.destroyed) return
    if (response.write(more)) setImmediate(write)
    else response.once('drain', write)
  }
  write()
}

test('the number of events is not limited, nor is the size of the whole stream', async () => {
  const events = Array.from({ length: 500 }, (_, index) => event(chunk(`${index}`.repeat(20))))
  answer = sending(...events, DONE)
  const { parts, response } = await call({ eventBytesMax: 200 })
  expect([parts.length, response]).toEqual([500, expect.objectContaining(END)])
})

test('an event that is not JSON makes the response invalid', async () => {
  answer = sending(event(chunk('a')), event('hello'), DONE)
  expect((await call()).problem).toMatchObject({ code: 'upstream_invalid_response' })
})

test('a stream without events is an invalid response', async () => {
  answer = sending()
  expect((await call()).problem).toMatchObject({ code: 'upstream_invalid_response' })
})

test('a compressed stream is rejected at once, although it does not end', async () => {
  answer = (response) => {
    response.writeHead(200, { ...SSE, 'content-encoding': 'gzip' })
    response.write(gzipSync(event(chunk('a'))))
  }
  expect((await call()).problem).toMatchObject({ code: 'upstream_invalid_response' })
  await closedEarly
})

test('a server that does not end the body after [DONE] does not delay the answer', async () => {
  answer = (response) => {
    response.writeHead(200, SSE)
    response.write(event(chunk('a')) + DONE)
  }
  const { parts, response } = await call()
  expect([parts.length, response]).toEqual([1, expect.objectContaining(END)])
  await closedEarly
  expect(pool.callsHeld).toBe(0)
})

test('a stream is complete even if its connection breaks after [DONE]', async () => {
  answer = breaking(event(chunk('a')), DONE)
  expect(await call()).toMatchObject({ parts: [chunk('a')], response: END })
})

test('events after [DONE] are not parts', async () => {
  answer = sending(event(chunk('a')), DONE, event(chunk('b')), event('x'))
  expect((await call()).parts).toEqual([chunk('a')])
})

test("the model's timeout limits only the wait for the first part", async () => {
  const open: ServerResponse[] = []
  answer = (response) => open.push(response.writeHead(200, SSE))
  const late = call({ timeoutMs: 50 })
  expect((await late).problem).toMatchObject({ code: 'deadline_exceeded' })
  await closedEarly
  answer = (response) => {
    response.writeHead(200, SSE).write(event(chunk('a')))
    setTimeout(() => response.end(event(chunk('b', 'stop')) + DONE), 1_200)
  }
  expect(await call({ timeoutMs: 1_000 })).toMatchObject({
    parts: [chunk('a'), chunk('b', 'stop')],
    response: END,
  })
})

test("a long pause, the total time and the client's deadline each end a stream, and close the connection", async () => {
  answer = (response) => response.writeHead(200, SSE).write(event(chunk('a')))
  const idle = await call({ limits: { idleTimeoutMs: 50 } })
  expect(idle.problem).toMatchObject({ code: 'stream_interrupted' })
  await closedEarly
  const total = await call({ limits: { timeoutMs: 50 } })
  expect(total.problem).toMatchObject({
    code: 'deadline_exceeded',
    message: expect.stringContaining(' 50 ms'),
  })
  await closedEarly
  const client = await call({ clientBudgetMs: 1_000 })
  expect(client.problem).toMatchObject({
    code: 'deadline_exceeded',
    message: expect.stringContaining(' 1000 ms'),
  })
  await closedEarly
  expect([idle.parts, total.parts, client.parts]).toEqual([[chunk('a')], [chunk('a')], [chunk('a')]])
})

test('comments do not count as parts', async () => {
  answer = (response) => {
    response.writeHead(200, SSE).write(event(chunk('a')))
    const timer = setInterval(() => response.write(': ping\n\n'), 10)
    response.once('close', () => clearInterval(timer))
  }
  expect((await call({ limits: { idleTimeoutMs: 100 } })).problem).toMatchObject({
    code: 'stream_interrupted',
  })
})

test('a cancelled request closes the connection at once', async () => {
  answer = (response) => response.writeHead(200, SSE).write(event(chunk('a')))
  const { parts, problem } = await call({
    onPart: (deadline) => deadline.stop(new Problem('cancelled', 'cancelled')),
  })
  expect([parts, problem?.code]).toEqual([[chunk('a')], 'cancelled'])
  await closedEarly
  expect(pool.callsHeld).toBe(0)
})

test('deltas are joined for the time that the request sets, and nothing is lost when the stream breaks', async () => {
  answer = sending(...['a', 'b', 'c'].map((text) => event(chunk(text))), event(chunk('', 'stop')), DONE)
  const joined = JSON.stringify({
    id: 'c',
    choices: [{ index: 0, delta: { content: 'bc' }, finish_reason: null }],
  })
  expect((await call({ coalesceMs: 5_000 })).parts).toEqual([chunk('a'), joined, chunk('', 'stop')])
  answer = breaking(...['a', 'b', 'c'].map((text) => event(chunk(text))))
  const { parts, problem } = await call({ limits: { coalesceMs: 5_000 } })
  expect([parts, problem?.code]).toEqual([[chunk('a'), joined], 'stream_interrupted'])
})

const GENERATE = { operation: 'generate', dialect: 'v2' } as const

test('generate uses the streaming path if the body asks for a stream, and the stream ends with the response body', async () => {
  answer = (response, { url }) =>
    url!.endsWith('/generate')
      ? void response.writeHead(200, { 'content-type': 'application/json' }).end('{"text_output":"ab"}')
      : sending(event('{"text_output":"a"}'), event('{"text_output":"b"}'))(response, undefined as never)
  const whole = await call({ ...GENERATE, body: '{"text_input":"x","parameters":{"stream":true}}' })
  expect([whole.parts, Buffer.from(whole.response!.body).toString()]).toEqual([[], '{"text_output":"ab"}'])
  const streamed = await call({ ...GENERATE, body: '{"text_input":"\\"stream\\":false", "stream" : true}' })
  expect(streamed).toMatchObject({ parts: ['{"text_output":"a"}', '{"text_output":"b"}'], response: END })
  expect(requests.map(({ url }) => url)).toEqual([
    '/v2/models/llm/generate',
    '/v2/models/llm/generate_stream',
  ])
})

test('generate reports errors that Triton sends before, in or instead of the stream', async () => {
  const failing = event('{"error":"gen failed"}')
  const body = '{"text_input":"x","stream":true}'
  answer = (response) => response.writeHead(400, SSE).end(failing)
  expect((await call({ ...GENERATE, body })).problem).toMatchObject({
    code: 'upstream_error',
    status: 400,
    body: Buffer.from('{"error":"gen failed"}'),
    contentType: 'application/json',
  })
  answer = sending(event('{"text_output":"a"}'), failing)
  const late = await call({ ...GENERATE, body })
  expect(late).toMatchObject({
    parts: ['{"text_output":"a"}'],
    problem: { code: 'upstream_error', status: 500 },
  })
  answer = (response) =>
    response
      .writeHead(200, { 'content-type': 'application/json' })
      .end('{"error":"generate expects model to produce exactly 1 response"}')
  expect((await call({ ...GENERATE, body: '{}' })).problem).toMatchObject({
    code: 'upstream_error',
    status: 500,
  })
  answer = breaking(event('{"text_output":"a"}'))
  expect((await call({ ...GENERATE, body })).problem).toMatchObject({ code: 'stream_interrupted' })
  answer = sending(event('{"text_output":"a"}'), 'data: {"text_output"')
  expect((await call({ ...GENERATE, body })).problem).toMatchObject({ code: 'stream_interrupted' })
})

test("infer_stream treats an empty stream as complete, and a response's member `error` as data", async () => {
  const asked = { operation: 'infer_stream', dialect: 'v2' } as const
  answer = sending()
  expect(await call(asked)).toMatchObject({ parts: [], response: END })
  const data = '{"model_name":"m","error":"not at the start","outputs":[]}'
  answer = sending(event(data))
  expect(await call(asked)).toMatchObject({ parts: [data], response: END })
  expect(requests.at(-1)!.url).toBe('/v2/models/llm/infer_stream')
})

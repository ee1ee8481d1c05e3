// Tests the detection of a dialect by the server's list of models, and the endpoints that use this list.
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Problem, type OperationName } from '@inferwire/protocol'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { EndpointRequest, ModelFacts } from '../../step.ts'
import { STREAM_LIMITS } from '../testing/stream-limits.ts'
import { UpstreamFailure } from '../upstream-failure.ts'
import { openHttpUpstream, type HttpUpstream } from './http-upstream.ts'

/** Answers by method and path: a status, or a status and a body. */
let answers: Record<string, number | readonly [number, unknown]>
let seen: string[]
let bodies: string[]
let server: Server
let upstream: HttpUpstream

const open = (model: string): HttpUpstream =>
  openHttpUpstream({
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/p`,
    host: undefined,
    tls: {},
    credential: { headers: () => [] },
    model,
    dialects: ['v2', 'v1', 'openai'],
    versions: [],
    callsMax: 20,
    responseBytesMax: 10_000,
    stream: STREAM_LIMITS,
    errorText: 'first-line',
  })

beforeEach(async () => {
  answers = {}
  seen = []
  bodies = []
  server = createServer((request, response) => {
    const asked = `${request.method} ${request.url}`
    let body = ''
    request.on('data', (chunk: Buffer) => (body += chunk.toString()))
    request.on('end', () => {
      seen.push(asked)
      if (request.method === 'POST') bodies.push(body)
      const [status, value = {}] = [answers[asked] ?? 404].flat() as [number, unknown]
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  upstream = open('llm')
})
afterEach(async () => {
  await upstream.destroy()
  server.closeAllConnections()
  server.close()
})

const list = (...ids: string[]): readonly [number, unknown] => [
  200,
  { object: 'list', data: ids.map((id) => ({ id, object: 'model' })) },
]
const facts = (): Promise<ModelFacts> => upstream.facts(new AbortController().signal)
const request = (body = '{}'): EndpointRequest => ({
  body: Buffer.from(body),
  contentType: 'application/json',
  inferenceHeaderContentLength: undefined,
  headers: [],
  deadline: { atMs: Infinity, problem: undefined, waiting: undefined },
  emit: undefined,
  modelPlace: { start: 1, end: 1, isEmpty: body === '{}' },
})
const call = (operation: OperationName, body?: string) =>
  upstream.endpoint(operation, 'openai')!.call(request(body))

test.each([
  ['/openai', '/p/openai/v1'],
  ['no prefix', '/p/v1'],
])('a model in the list under %s has the operations whose paths exist there', async (_, path) => {
  answers = {
    [`GET ${path}/models`]: list('other', 'llm'),
    [`GET ${path}/chat/completions`]: 405,
    [`GET ${path}/embeddings`]: 405,
    [`POST ${path}/chat/completions`]: [200, { choices: [], usage: { prompt_tokens: 1 } }],
  }
  expect(await facts()).toEqual({
    protocolVersions: ['openai'],
    unanswered: [],
    optionalOperations: ['chat', 'embeddings'],
  })
  expect(await call('chat')).toMatchObject({ status: 200, usage: { promptTokens: 1, completionTokens: 0 } })
  expect(bodies).toEqual(['{"model":"llm"}'])
  expect(seen.filter((asked) => asked === `GET ${path}/models`)).toHaveLength(1)
})

test("KServe's list of V1 models, which has the same path, is not a list of this dialect", async () => {
  answers = {
    'GET /p/v1/models': [200, { models: ['llm'] }],
    'GET /p/v1/models/llm': [200, { name: 'llm', ready: true }],
  }
  expect((await facts()).protocolVersions).toEqual(['v1'])
  answers['GET /p/openai/v1/models'] = list('llm')
  expect((await facts()).protocolVersions).toEqual(['v1', 'openai'])
})

test('a model that is not in the list does not have the dialect', async () => {
  answers = {
    'GET /p/v2/models/llm': [200, { name: 'llm' }],
    'GET /p/openai/v1/models': list('other'),
    'GET /p/v1/models': list(),
  }
  expect(await facts()).toEqual({ protocolVersions: ['v2'], unanswered: [] })
})

test('the dialect is reported as unanswered if the query for the list fails temporarily', async () => {
  answers = { 'GET /p/v2/models/llm': [200, { name: 'llm' }], 'GET /p/openai/v1/models': 503 }
  expect(await facts()).toEqual({ protocolVersions: ['v2'], unanswered: ['openai'] })
})

test('the dialect is reported as unanswered if the query for an operation fails temporarily', async () => {
  answers = { 'GET /p/v1/models': list('llm'), 'GET /p/v1/chat/completions': 405 }
  server.prependListener('request', ({ url }, response) => {
    if (url === '/p/v1/embeddings') response.destroy()
  })
  expect(await facts()).toEqual({
    protocolVersions: ['openai'],
    unanswered: ['openai'],
    optionalOperations: ['chat'],
  })
})

test('a call that is made before the facts are known finds the prefix itself', async () => {
  answers = {
    'GET /p/openai/v1/models': list('llm'),
    'POST /p/openai/v1/embeddings': [200, { data: [] }],
  }
  await call('embeddings', '{"input":"x"}')
  await call('embeddings', '{"input":"x"}')
  expect(seen.map((asked) => asked.replace('/p/openai/v1', ''))).toEqual([
    'GET /models',
    'POST /embeddings',
    'POST /embeddings',
  ])
  expect(bodies[0]).toBe('{"model":"llm","input":"x"}')
})

const bodyOf = async (operation: OperationName): Promise<unknown> =>
  JSON.parse(Buffer.from((await call(operation)).body).toString())

test('metadata and ready are answered from the entry of the model, or with model_not_ready if there is no entry', async () => {
  answers = { 'GET /p/v1/models': list('secret', 'llm') }
  expect(await bodyOf('metadata')).toEqual({ id: 'llm', object: 'model' })
  expect(await bodyOf('ready')).toEqual({ name: 'llm', ready: true })
  for (const missing of [list('secret'), 404] as const) {
    answers = { 'GET /p/v1/models': missing }
    const problem = await call('ready').catch((error: unknown) => Problem.from(error))
    expect(problem).toBeInstanceOf(UpstreamFailure)
    expect(problem).toMatchObject({ code: 'model_not_ready', status: 503 })
  }
})

test('a deadline ends the search for the prefix', async () => {
  server.prependListener('request', (_, response) => {
    response.writeHead = () => response
    response.end = () => response
  })
  const stopped = new Problem('deadline_exceeded', 'late')
  const asked = request()
  const outcome = upstream
    .endpoint('chat', 'openai')!
    .call(asked)
    .catch((error: unknown) => error)
  await expect.poll(() => seen.length).toBe(1)
  asked.deadline.waiting!(stopped)
  Object.assign(asked.deadline, { problem: stopped })
  expect(await outcome).toBe(stopped)
})

test.each([401, 403, 408, 429, 500, 503])(
  'status %i for the query of one operation leaves the dialect unanswered; the other operations are known',
  async (status) => {
    answers = {
      'GET /p/v1/models': list('llm'),
      'GET /p/v1/chat/completions': status,
      'GET /p/v1/embeddings': 405,
    }
    expect(await facts()).toEqual({
      protocolVersions: ['openai'],
      unanswered: ['openai'],
      optionalOperations: ['embeddings'],
    })
  },
)

test('a model with a slash in its name is queried only in the dialect whose bodies name it', async () => {
  await upstream.destroy()
  upstream = open('facebook/opt-125m')
  answers = {
    'GET /p/v1/models': list('facebook/opt-125m'),
    'GET /p/v1/chat/completions': 405,
    'POST /p/v1/chat/completions': [200, { choices: [] }],
  }
  expect(await facts()).toMatchObject({ protocolVersions: ['openai'], optionalOperations: ['chat'] })
  await call('chat')
  expect(bodies).toEqual(['{"model":"facebook/opt-125m"}'])
  expect(await bodyOf('ready')).toEqual({ name: 'facebook/opt-125m', ready: true })
  expect(seen.filter((asked) => asked.includes('opt-125m'))).toEqual([])
})

test.each([403, 404])('a call succeeds even if the query for the list has status %i', async (status) => {
  const post = 'POST /p/v1/chat/completions'
  answers = { 'GET /p/v1/models': status, 'GET /p/openai/v1/models': status, [post]: [200, { choices: [] }] }
  const chat = upstream.endpoint('chat', 'openai')!
  for (let count = 0; count < 2; count++) expect(await chat.call(request())).toMatchObject({ status: 200 })
  // The list is queried again after a 404, because the dialect may have moved to another prefix.
  answers = { 'GET /p/openai/v1/models': list('llm') }
  await expect(chat.call(request())).rejects.toMatchObject({ status: 404 })
  answers['POST /p/openai/v1/chat/completions'] = [200, { choices: [] }]
  expect(await chat.call(request())).toMatchObject({ status: 200 })
  expect(seen.filter((asked) => asked.startsWith('POST')).length).toBe(4)
  expect(seen.filter((asked) => asked.startsWith('GET')).length).toBeLessThanOrEqual(4)
})

test('a call fails if the query for the list fails temporarily', async () => {
  answers = { 'GET /p/v1/models': 503, 'GET /p/openai/v1/models': 503 }
  await expect(call('chat')).rejects.toBeInstanceOf(UpstreamFailure)
})

test('a call fails if a gateway rejects the token of the query for the list', async () => {
  answers = { 'GET /p/v1/models': [401, {}], 'GET /p/openai/v1/models': [401, {}] }
  await expect(call('chat')).rejects.toMatchObject({ code: 'unauthorized_upstream' })
  expect(bodies).toEqual([])
})

test('metadata has no members that describe the server', async () => {
  const model = { id: 'llm', object: 'model', created: 1, owned_by: 'vllm', max_model_len: 4096 }
  const entry = { ...model, root: '/mnt/models', permission: [{ id: 'x' }] }
  answers = { 'GET /p/v1/models': [200, { object: 'list', data: [entry] }] }
  expect(await bodyOf('metadata')).toEqual(model)
})

// Tests OpenAI's API with invalid requests, and the exact bytes of its streams.
import { once } from 'node:events'
import { connect } from 'node:net'
import * as fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { LanguageModel, Piece } from '../language/language-model.ts'
import { toyModel } from '../language/toy-model.ts'
import { startModelServer, type ModelServer } from '../model-server.ts'
import { figure, get, post } from '../testing/requests.ts'
import { GENERATIONS_MAX } from './run-generation.ts'

/** A model that yields the given pieces, and then fails. */
function failing(pieces: readonly Piece[]): LanguageModel {
  const start = async () => ({
    promptTokens: 3,
    pieces: (async function* () {
      yield* pieces
      throw new Error('out of memory')
    })(),
  })
  const { contextTokens } = toyModel()
  return {
    name: 'failing',
    description: '',
    contextTokens,
    chat: start,
    complete: start,
    release: async () => undefined,
  }
}

let server: ModelServer

beforeAll(async () => {
  server = await startModelServer({
    models: [],
    languageModels: [toyModel(), failing([{ text: 'One', tokens: 1 }])],
    tokensPerSecond: Infinity,
    requestBytesMax: 100_000,
  })
})
afterAll(() => server.close())

const CHAT = '/openai/v1/chat/completions'
const COMPLETIONS = '/openai/v1/completions'
const EMBEDDINGS = '/openai/v1/embeddings'
const messages = [{ role: 'user', content: 'Hi' }]
const chat = { model: 'toy-chat', messages }
const complete = { model: 'toy-chat', prompt: 'a' }
const embed = { model: 'toy-chat', input: 'a' }

test.each([
  ['no JSON', CHAT, '{', 400, null],
  ['a list', CHAT, [], 400, null],
  ['no model', CHAT, { messages }, 400, 'model'],
  ['a number as the model', CHAT, { ...chat, model: 1 }, 400, 'model'],
  ['an unknown model', CHAT, { ...chat, model: '__proto__' }, 404, 'model'],
  ['no messages', CHAT, { model: 'toy-chat' }, 400, 'messages'],
  ['an empty list of messages', CHAT, { ...chat, messages: [] }, 400, 'messages'],
  ['10,000 messages', CHAT, { ...chat, messages: Array.from({ length: 10_000 }, () => 0) }, 400, 'messages'],
  ['a text as a message', CHAT, { ...chat, messages: ['Hi'] }, 400, 'messages'],
  ['a message without a role', CHAT, { ...chat, messages: [{ content: 'Hi' }] }, 400, 'messages'],
  [
    'an image',
    CHAT,
    { ...chat, messages: [{ role: 'user', content: [{ type: 'image_url' }] }] },
    400,
    'messages',
  ],
  ['n: 1000', CHAT, { ...chat, n: 1000 }, 400, 'n'],
  ['logprobs', CHAT, { ...chat, logprobs: true }, 400, 'logprobs'],
  ['tools', CHAT, { ...chat, tools: [{ type: 'function' }] }, 400, 'tools'],
  ['a JSON schema', CHAT, { ...chat, response_format: { type: 'json_schema' } }, 400, 'response_format'],
  ['max_tokens: 0', CHAT, { ...chat, max_tokens: 0 }, 400, 'max_tokens'],
  ['max_tokens: 1.5', CHAT, { ...chat, max_tokens: 1.5 }, 400, 'max_tokens'],
  ['max_tokens: 1e9', CHAT, { ...chat, max_tokens: 1e9 }, 400, 'max_tokens'],
  ['a negative temperature', CHAT, { ...chat, temperature: -1 }, 400, 'temperature'],
  ['top_p: 0', CHAT, { ...chat, top_p: 0 }, 400, 'top_p'],
  [
    'a seed beyond 2^53',
    CHAT,
    '{"model":"toy-chat","messages":[{"role":"user"}],"seed":9007199254740993}',
    400,
    'seed',
  ],
  ['an empty stop sequence', CHAT, { ...chat, stop: [''] }, 400, 'stop'],
  ['5 stop sequences', CHAT, { ...chat, stop: ['a', 'b', 'c', 'd', 'e'] }, 400, 'stop'],
  ['stream as a text', CHAT, { ...chat, stream: 'true' }, 400, 'stream'],
  ['stream_options without stream', CHAT, { ...chat, stream_options: {} }, 400, 'stream_options'],
  ['no prompt', COMPLETIONS, { model: 'toy-chat' }, 400, 'prompt'],
  ['two prompts', COMPLETIONS, { ...complete, prompt: ['a', 'b'] }, 400, 'prompt'],
  ['token numbers as the prompt', COMPLETIONS, { ...complete, prompt: [1, 2] }, 400, 'prompt'],
  ['echo', COMPLETIONS, { ...complete, echo: true }, 400, 'echo'],
  ['no input', EMBEDDINGS, { model: 'toy-chat' }, 400, 'input'],
  ['an empty input', EMBEDDINGS, { ...embed, input: ['a', ''] }, 400, 'input'],
  ['2,049 inputs', EMBEDDINGS, { ...embed, input: Array.from({ length: 2049 }, () => 'a') }, 400, 'input'],
  ['a text that is too long', EMBEDDINGS, { ...embed, input: 'a '.repeat(40_000) }, 400, 'input'],
  ['100 dimensions', EMBEDDINGS, { ...embed, dimensions: 100 }, 400, 'dimensions'],
  ['an unknown encoding', EMBEDDINGS, { ...embed, encoding_format: 'hex' }, 400, 'encoding_format'],
  ['a model without embeddings', EMBEDDINGS, { ...embed, model: 'failing' }, 501, 'model'],
  ['a model that fails', CHAT, { ...chat, model: 'failing' }, 500, null],
])('rejects a request with %s', async (_what, path, body, status, param) => {
  const answer = await post(server, path, body)
  expect(answer.status).toBe(status)
  const { error } = answer.json()
  expect(error).toEqual({
    message: expect.stringMatching(/\w/) as string,
    type: expect.stringMatching(/Error$/) as string,
    param,
    code: status,
  })
})

test.each([
  ['application/json; charset=utf-8', 200],
  ['text/plain', 415],
])('a request with the Content-Type %s receives the status %i', async (contentType, status) => {
  const answer = await post(server, COMPLETIONS, complete, { 'content-type': contentType })
  expect(answer.status).toBe(status)
})

test('rejects a body above the limit with an error in OpenAI’s format', async () => {
  const answer = await post(server, CHAT, 'x'.repeat(100_001))
  expect([answer.status, answer.json().error.type]).toEqual([413, 'RequestEntityTooLargeError'])
})

test('null counts as absent, and unknown members are ignored', async () => {
  const answer = await post(server, CHAT, {
    ...chat,
    stop: null,
    stream: null,
    tools: null,
    user: 'u',
    __proto__: {},
  })
  expect(answer.status).toBe(200)
})

test('responds to any JSON body with a status and JSON', async () => {
  const body = fc.oneof(
    fc.record({
      model: fc.constant('toy-chat'),
      messages: fc.jsonValue({ maxDepth: 3 }),
      max_tokens: fc.constant(3),
    }),
    fc.record({
      model: fc.constant('toy-chat'),
      messages: fc.constant(messages),
      max_tokens: fc.constant(3),
      stop: fc.jsonValue(),
      seed: fc.jsonValue(),
    }),
    fc.record({
      model: fc.constant('toy-chat'),
      prompt: fc.string({ unit: 'binary' }),
      max_tokens: fc.nat(20),
    }),
    fc.record({
      model: fc.constant('toy-chat'),
      input: fc.oneof(fc.jsonValue(), fc.string({ unit: 'binary' })),
    }),
  )
  const path = fc.constantFrom(CHAT, COMPLETIONS, EMBEDDINGS)
  await fc.assert(
    fc.asyncProperty(path, body, async (path, body) => {
      const answer = await post(server, path, JSON.stringify(body))
      expect([200, 400]).toContain(answer.status)
      expect(answer.json()).toBeTypeOf('object')
    }),
    { numRuns: 40 },
  )
})

test('a stream consists of one-line events', async () => {
  const answer = await post(server, COMPLETIONS, { ...complete, stream: true, max_tokens: 2, temperature: 0 })
  expect(answer.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
  const events = answer.text.split('\n\n')
  expect(events.pop()).toBe('')
  expect(events.pop()).toBe('data: [DONE]')
  const chunks = events.map((event) => JSON.parse(event.replace(/^data: /, '')) as any)
  expect(chunks).toHaveLength(3)
  expect(chunks.every(({ choices }) => choices.length === 1)).toBe(true)
  expect(chunks[0]).not.toHaveProperty('usage')
})

test('if a model fails in the middle of a stream, an event reports the error', async () => {
  const answer = await post(server, CHAT, { ...chat, model: 'failing', stream: true })
  expect(answer.status).toBe(200)
  const events = answer.text.trimEnd().split('\n\n')
  expect(events).toHaveLength(4)
  expect(JSON.parse(events[2]!.replace('data: ', ''))).toEqual({
    error: {
      message: 'The model failed: out of memory',
      type: 'InternalServerError',
      param: null,
      code: 500,
    },
  })
  expect(events[3]).toBe('data: [DONE]')
  expect(
    await figure(server, 'model_server_generations_total{model="failing",outcome="failed"}'),
  ).toBeGreaterThan(0)
})

test('waits for a client that does not read, until the client disconnects', async () => {
  // 400 MB are more than the socket buffers can hold.
  const piece: Piece = { text: 'x'.repeat(1_000_000), tokens: 1 }
  const large = await startModelServer({
    models: [],
    languageModels: [failing(Array.from({ length: 400 }, () => piece))],
    tokensPerSecond: Infinity,
  })
  const body = JSON.stringify({ ...chat, model: 'failing', stream: true })
  const socket = connect(large.port, '127.0.0.1').pause()
  socket.write(`POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n`)
  socket.write(`Content-Length: ${body.length}\r\n\r\n${body}`)
  const ended = (outcome: string) =>
    figure(large, `model_server_generations_total{model="failing",outcome="${outcome}"}`)
  await expect
    .poll(() => figure(large, 'model_server_generated_tokens_total{model="failing"}'))
    .toBeGreaterThan(0)
  // Without a limit, the model would have generated everything during these requests.
  for (let round = 0; round < 20; round++) expect(await ended('failed')).toBe(0)
  socket.destroy()
  await expect.poll(() => ended('cancelled')).toBe(1)
  await large.close()
})

test('responds 503 while too many generations run', async () => {
  const endless: LanguageModel = {
    ...failing([]),
    name: 'endless',
    chat: async (_messages, _sampling, signal) => ({
      promptTokens: 1,
      pieces: (async function* () {
        yield { text: 'x', tokens: 1 }
        await once(signal, 'abort')
      })(),
    }),
  }
  const busy = await startModelServer({ models: [], languageModels: [endless], tokensPerSecond: Infinity })
  const leaving = new AbortController()
  const request = { ...chat, model: 'endless', stream: true }
  const options = {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(request),
    signal: leaving.signal,
  }
  const running = Array.from({ length: GENERATIONS_MAX }, () => fetch(`${busy.url}${CHAT}`, options))
  expect((await Promise.all(running)).every(({ status }) => status === 200)).toBe(true)
  const refused = await post(busy, CHAT, request)
  expect([refused.status, refused.json().error.type]).toEqual([503, 'ServiceUnavailableError'])
  leaving.abort()
  await expect.poll(() => figure(busy, 'model_server_generations_running{model="endless"}')).toBe(0)
  await busy.close()
})

test('a server without a language model has no OpenAI routes', async () => {
  const bare = await startModelServer({ models: [] })
  expect((await post(bare, CHAT, chat)).json()).toEqual({ detail: 'Not Found' })
  expect((await get(bare, '/openai/v1/models')).status).toBe(404)
  expect((await get(bare, '/v1/models')).json()).toEqual({ models: [] })
  await bare.close()
})

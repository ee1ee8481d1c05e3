// Tests chat(), completions() and embeddings() with OpenAI's own client: through a bridge from HTTP to the SDK, the
// client must receive the same answers as directly from the model server.
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { InferwireError, type Client, type InferStream } from '@inferwire/client'
import { startModelServer, toyModel, type ModelServer } from '@inferwire/model-server'
import OpenAI from 'openai'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { sdkAndConnector, type SdkAndConnector } from './fixtures/sdk-and-connector.ts'

let server: ModelServer
let slowServer: ModelServer
let sdk: SdkAndConnector
let client: Client
let bridge: Server
let direct: OpenAI
let bridged: OpenAI
const log: string[] = []

beforeAll(async () => {
  const common = { models: [], languageModels: [toyModel()], log: (line: string) => log.push(line) }
  server = await startModelServer({ ...common, tokensPerSecond: Infinity })
  slowServer = await startModelServer({ ...common, tokensPerSecond: 20 })
  sdk = await sdkAndConnector({
    'toy-chat': { url: server.url },
    renamed: { url: server.url, modelName: 'toy-chat' },
    slow: { url: slowServer.url, modelName: 'toy-chat' },
  })
  ;({ client } = sdk)
  bridge = createServer((request, response) => void serve(request, response)).listen(0, '127.0.0.1')
  await once(bridge, 'listening')
  const { port } = bridge.address() as AddressInfo
  direct = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 })
  bridged = new OpenAI({ baseURL: `http://127.0.0.1:${port}`, apiKey: 'none', maxRetries: 0 })
})

afterAll(async () => {
  bridge.closeAllConnections()
  bridge.close()
  await sdk.stop()
  await server.close()
  await slowServer.close()
})

// The bridge turns a request to a path of OpenAI's API into an SDK call.
async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = JSON.parse(await text(request)) as Parameters<Client['chat']>[1] & { model: string }
  try {
    const answer = await callOf(request.url!, body.model, body as never)
    if (Symbol.asyncIterator in answer) return await serveEvents(answer as InferStream<object>, response)
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer))
  } catch (error) {
    const { status = 500, body: problem } = error as InferwireError
    response.writeHead(status, { 'content-type': 'application/json' }).end(problem)
  }
}

function callOf(path: string, model: string, body: never): object | Promise<object> {
  if (path === '/chat/completions') return client.chat(model, body)
  return path === '/completions' ? client.completions(model, body) : client.embeddings(model, body)
}

// Begins the response after the first chunk, so that an earlier error can still set the status.
async function serveEvents(stream: InferStream<object>, response: ServerResponse): Promise<void> {
  response.on('close', () => stream.cancel())
  for await (const chunk of stream) {
    if (!response.headersSent) response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write(`data: ${JSON.stringify(chunk)}\n\n`)
  }
  response.end('data: [DONE]\n\n')
}

// The id and the time differ in every answer, so they are not compared.
const sameFor = ({ id: _id, created: _created, ...rest }: { id?: string; created?: number }): unknown => rest

const CHAT = {
  model: 'toy-chat',
  messages: [{ role: 'user' as const, content: 'Is there any tea?' }],
  seed: 7,
  max_tokens: 40,
}

test('the whole answer to a chat equals the answer over HTTP', async () => {
  const [over, http] = [
    await bridged.chat.completions.create(CHAT),
    await direct.chat.completions.create(CHAT),
  ]
  expect(sameFor(over)).toEqual(sameFor(http))
  expect(http.choices[0]!.message.content).toMatch(/\w+ \w+/)
})

test.each([false, true])(
  'the streamed chunks of a chat equal those over HTTP (include_usage: %j)',
  async (includeUsage) => {
    const chunks = async (openai: OpenAI): Promise<unknown[]> => {
      const stream = await openai.chat.completions.create({
        ...CHAT,
        stream: true,
        stream_options: { include_usage: includeUsage },
      })
      const seen: unknown[] = []
      for await (const chunk of stream) seen.push(sameFor(chunk))
      return seen
    }
    const http = await chunks(direct)
    expect(await chunks(bridged)).toEqual(http)
    expect(http.length).toBeGreaterThan(10)
  },
)

test('a completion, whole or streamed, equals the completion over HTTP', async () => {
  const request = { model: 'toy-chat', prompt: 'Alice was', seed: 3, max_tokens: 20 }
  const chunks = async (openai: OpenAI): Promise<unknown[]> => {
    const seen: unknown[] = []
    for await (const chunk of await openai.completions.create({ ...request, stream: true })) {
      seen.push(sameFor(chunk))
    }
    return seen
  }
  expect(sameFor(await bridged.completions.create(request))).toEqual(
    sameFor(await direct.completions.create(request)),
  )
  expect(await chunks(bridged)).toEqual(await chunks(direct))
})

test.each(['float', 'base64'] as const)('embeddings equal those over HTTP (%s)', async (format) => {
  const request = { model: 'toy-chat', input: ['tea', 'hatter'], encoding_format: format }
  const http = await direct.embeddings.create(request)
  expect(await bridged.embeddings.create(request)).toEqual(http)
  expect(http.data).toHaveLength(2)
})

test.each([false, true])(
  'an error has the status and the message of the model server (stream: %j)',
  async (stream) => {
    const failure = async (openai: OpenAI): Promise<unknown> => {
      const error: unknown = await openai.chat.completions
        .create({ ...CHAT, stream, messages: [] })
        .catch((reason: unknown) => reason)
      return { status: (error as { status: unknown }).status, message: (error as Error).message }
    }
    const http = await failure(direct)
    expect(await failure(bridged)).toEqual(http)
    expect(http).toMatchObject({ status: 400 })
  },
)

test('chat() accepts messages alone, and a body without a model is answered by the model that the topic names', async () => {
  const whole = await client.chat('renamed', CHAT.messages)
  expect(whole.choices[0]!.message.role).toBe('assistant')
  const stream = client.chat('renamed', { messages: CHAT.messages, max_tokens: 5 }, { stream: true })
  let answer = ''
  for await (const chunk of stream) answer += chunk.choices[0]?.delta.content ?? ''
  expect(answer).not.toBe('')
  expect(stream.finalReply?.status).toBe(200)
  expect((await client.embeddings('renamed', 'tea')).data).toHaveLength(1)
  expect((await client.completions('renamed', 'Alice')).object).toBe('text_completion')
})

test("at its end, a stream reports the server's token counts", async () => {
  const body = { ...CHAT, model: 'renamed', stream_options: { include_usage: true } }
  const stream = client.chat('renamed', body, { stream: true })
  let counted: unknown
  for await (const { usage } of stream) counted = usage ?? counted
  const { prompt_tokens: promptTokens, completion_tokens: completionTokens } = counted as Record<
    string,
    number
  >
  expect(promptTokens).toBeGreaterThan(0)
  expect(stream.usage).toEqual({ promptTokens, completionTokens })
})

test('a body that names another model is rejected', async () => {
  await expect(client.chat('renamed', { ...CHAT, model: 'toy-chat' })).rejects.toBeInstanceOf(InferwireError)
})

test('leaving the loop stops the generation at the model server', async () => {
  const before = log.length
  for await (const chunk of client.chat(
    'slow',
    { ...CHAT, model: 'slow', max_tokens: 500 },
    { stream: true },
  )) {
    if (chunk.choices[0]?.delta.content) break
  }
  await vi.waitFor(
    () => expect(log.slice(before).join('\n')).toMatch(/toy-chat: stopped after \d+ tokens/),
    5_000,
  )
  expect(client.stats.inFlight).toBe(0)
})

// Tests OpenAI's API with OpenAI's own client, against the toy model.
import { strict as assert } from 'node:assert'
import OpenAI, { APIUserAbortError, BadRequestError, NotFoundError } from 'openai'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bundledModels } from '../bundled-models.ts'
import { toyModel } from '../language/toy-model.ts'
import { startModelServer, type ModelServer } from '../model-server.ts'
import { figure, get } from '../testing/requests.ts'

let server: ModelServer
let client: OpenAI
const log: string[] = []

beforeAll(async () => {
  server = await startModelServer({
    models: bundledModels(),
    languageModels: [toyModel()],
    tokensPerSecond: Infinity,
    log: (line) => log.push(line),
  })
  client = clientOf(server, '/openai/v1')
})
afterAll(() => server.close())

function clientOf({ url }: ModelServer, path: string): OpenAI {
  return new OpenAI({ baseURL: url + path, apiKey: 'none', maxRetries: 0 })
}

const TEA = {
  model: 'toy-chat',
  messages: [{ role: 'user' as const, content: 'Is there any tea?' }],
  seed: 7,
  max_tokens: 40,
}

test.each(['/openai/v1', '/v1'])('lists the language models under %s, and no other models', async (path) => {
  const models = []
  for await (const model of clientOf(server, path).models.list()) models.push(model.id)
  expect(models).toEqual(['toy-chat'])
})

test('GET /v1/models also contains the V1 list, with the models that V1 serves', async () => {
  const list = (await get(server, '/v1/models')).json()
  expect(list.models).toEqual(['iris', 'digits'])
  expect((await get(server, '/v1/models/toy-chat')).status).toBe(404)
})

test('returns one language model, whose description calls it a toy', async () => {
  const model = await client.models.retrieve('toy-chat')
  expect(model).toMatchObject({ id: 'toy-chat', object: 'model', owned_by: 'inferwire' })
  expect(model).toHaveProperty('description', expect.stringMatching(/^A toy /) as string)
})

test.each(['/openai/v1', '/v1'])('answers a chat under %s', async (path) => {
  const answer = await clientOf(server, path).chat.completions.create(TEA)
  expect(answer).toMatchObject({ object: 'chat.completion', model: 'toy-chat' })
  const [choice] = answer.choices
  expect(choice?.message.role).toBe('assistant')
  expect(choice?.message.content).toMatch(/\w+ \w+/)
  // "user: Is there any tea?\n" has 8 tokens: six words with their spaces, two marks and the line break.
  expect(answer.usage).toEqual({ prompt_tokens: 8, completion_tokens: 40, total_tokens: 48 })
  expect(choice?.finish_reason).toBe('length')
})

test('streams the same text as the whole answer, with the role first and the usage last', async () => {
  const whole = await client.chat.completions.create(TEA)
  const stream = await client.chat.completions.create({
    ...TEA,
    stream: true,
    stream_options: { include_usage: true },
  })
  const chunks = []
  for await (const chunk of stream) chunks.push(chunk)

  expect(chunks[0]?.choices[0]?.delta).toEqual({ role: 'assistant', content: '' })
  const text = chunks.map(({ choices: [choice] }) => choice?.delta.content ?? '').join('')
  expect(text).toBe(whole.choices[0]?.message.content)
  // The first chunk has no text; each further chunk contains one token.
  expect(chunks).toHaveLength(1 + 40 + 2)
  const finishes = chunks.map(({ choices: [choice] }) => choice?.finish_reason ?? null)
  expect(finishes.filter((finish) => finish !== null)).toEqual(['length'])
  expect(finishes.at(-2)).toBe('length')
  expect(chunks.at(-1)).toMatchObject({ choices: [], usage: whole.usage })
  expect(new Set(chunks.map(({ id }) => id)).size).toBe(1)
})

test('an answer ends of its own accord if max_tokens is large enough', async () => {
  const answer = await client.chat.completions.create({ ...TEA, max_tokens: 5000 })
  expect(answer.choices[0]?.finish_reason).toBe('stop')
  expect(answer.usage?.completion_tokens).toBeGreaterThanOrEqual(60)
})

test('the seed determines the text', async () => {
  const texts = await Promise.all(
    [1, 1, 2].map(async (seed) => {
      const answer = await client.chat.completions.create({ ...TEA, seed })
      return answer.choices[0]?.message.content
    }),
  )
  expect(texts[1]).toBe(texts[0])
  expect(texts[2]).not.toBe(texts[0])
})

test('with temperature 0, the same text is generated again without a seed', async () => {
  const request = { model: 'toy-chat', prompt: 'The White', temperature: 0, max_tokens: 8 }
  const [first, second] = [await client.completions.create(request), await client.completions.create(request)]
  expect(first.choices[0]?.text).toMatch(/^ Rabbit/)
  expect(second.choices[0]?.text).toBe(first.choices[0]?.text)
})

test('ends an answer, whole or streamed, before a stop sequence', async () => {
  const { choices: [free] } = await client.chat.completions.create(TEA) // prettier-ignore
  const text = free?.message.content
  assert(typeof text === 'string')
  // The stop sequence spans the third and fourth tokens.
  const stop = text.slice(10, 20)
  const { choices: [stopped], usage } = await client.chat.completions.create({ ...TEA, stop }) // prettier-ignore
  expect(stopped).toMatchObject({
    finish_reason: 'stop',
    message: { content: text.slice(0, text.indexOf(stop)) },
  })
  expect(usage?.completion_tokens).toBeLessThan(40)

  let streamed = ''
  for await (const chunk of await client.chat.completions.create({
    ...TEA,
    stop: ['@@', stop],
    stream: true,
  })) {
    streamed += chunk.choices[0]?.delta.content ?? ''
  }
  expect(streamed).toBe(stopped?.message.content)
})

test('continues a prompt, with a whole or a streamed answer', async () => {
  const request = { model: 'toy-chat', prompt: 'Alice was beginning to get very', seed: 1 }
  const whole = await client.completions.create(request)
  expect(whole).toMatchObject({
    object: 'text_completion',
    usage: { prompt_tokens: 6, completion_tokens: 16 },
  })
  let streamed = ''
  for await (const chunk of await client.completions.create({ ...request, stream: true })) {
    streamed += chunk.choices[0]?.text ?? ''
  }
  expect(streamed).toBe(whole.choices[0]?.text)
})

test('texts with similar spelling have similar embeddings, in both formats', async () => {
  const input = ['temperature sensor', 'Temperature  sensors', 'brown fox']
  // The client requests base64 by default, and decodes it.
  const { data, usage } = await client.embeddings.create({ model: 'toy-chat', input })
  const [first, similar, other] = data.map(({ embedding }) => embedding)
  assert(first !== undefined && similar !== undefined && other !== undefined)
  expect(first).toHaveLength(256)
  expect(dot(first, first)).toBeCloseTo(1, 5)
  expect(dot(first, similar)).toBeGreaterThan(0.8)
  expect(dot(first, other)).toBeLessThan(0.4)
  expect(usage).toEqual({ prompt_tokens: 7, total_tokens: 7 })

  const floats = await client.embeddings.create({ model: 'toy-chat', input, encoding_format: 'float' })
  expect(floats.data.map(({ embedding }) => embedding)).toEqual([first, similar, other])
})

function dot(left: readonly number[], right: readonly number[]): number {
  return left.reduce((sum, value, index) => sum + value * (right[index] ?? 0), 0)
}

test("reports errors in a form that OpenAI's client understands", async () => {
  const unknown = client.chat.completions.create({ ...TEA, model: 'iris' })
  await expect(unknown).rejects.toBeInstanceOf(NotFoundError)
  await expect(unknown).rejects.toMatchObject({ status: 404, param: 'model', type: 'NotFoundError' })
  const wrong = client.chat.completions.create({ ...TEA, temperature: 3, stream: true })
  await expect(wrong).rejects.toBeInstanceOf(BadRequestError)
  await expect(wrong).rejects.toMatchObject({
    param: 'temperature',
    message: expect.stringContaining('from 0 to 2') as string,
  })
  const long = client.completions.create({ model: 'toy-chat', prompt: 'a '.repeat(40_000) })
  await expect(long).rejects.toMatchObject({
    status: 400,
    param: 'prompt',
    message: expect.stringContaining('has 32768 tokens') as string,
  })
})

test('stops generating at once when the client aborts a stream', async () => {
  // At 20 tokens per second, 512 tokens would take 25 seconds.
  const slow = await startModelServer({
    models: [],
    languageModels: [toyModel()],
    tokensPerSecond: 20,
    log: (line) => log.push(line),
  })
  const request = { ...TEA, max_tokens: 512, temperature: 0 }
  const leaving = await clientOf(slow, '/v1').chat.completions.create({ ...request, stream: true })
  for await (const chunk of leaving) if (chunk.choices[0]?.delta.content) break
  const cancelled = 'model_server_generations_total{model="toy-chat",outcome="cancelled"}'
  await expect.poll(() => figure(slow, cancelled)).toBe(1)
  expect(log.at(-1)).toMatch(/^toy-chat: stopped after [1-9] tokens, because the client closed/)

  // A request for a whole answer is aborted in the same way.
  const aborting = new AbortController()
  const whole = clientOf(slow, '/v1').chat.completions.create(request, { signal: aborting.signal })
  await expect.poll(() => figure(slow, 'model_server_generations_running{model="toy-chat"}')).toBe(1)
  aborting.abort()
  await expect(whole).rejects.toBeInstanceOf(APIUserAbortError)
  await expect.poll(() => figure(slow, cancelled)).toBe(2)
  expect(await figure(slow, 'model_server_generations_running{model="toy-chat"}')).toBe(0)
  await slow.close()
})

// Tests operations with streamed answers through the connector, on KServe's OpenAI routes, Triton and MLServer. The
// answers over MQTT must equal those over HTTP, byte for byte.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runConnector, type TestConnector } from './fixtures/connector.ts'
import { startKserveOpenai } from './fixtures/kserve-openai.ts'
import { startMlserver } from './fixtures/mlserver.ts'
import { startMosquitto, type Mosquitto } from './fixtures/mosquitto.ts'
import { TestClient, type Received, type RequestProperties } from './fixtures/mqtt-client.ts'
import { startTriton } from './fixtures/triton-server.ts'
import { ConnectorProcess } from './rig/connector-process.ts'

let broker: Mosquitto
let kserve: Awaited<ReturnType<typeof startKserveOpenai>>
let triton: Awaited<ReturnType<typeof startTriton>>
let mlserver: Awaited<ReturnType<typeof startMlserver>>
let running: TestConnector
let client: TestClient
let count = 0

beforeAll(async () => {
  broker = await startMosquitto()
  ;[kserve, triton, mlserver] = await Promise.all([startKserveOpenai(), startTriton(), startMlserver()])
  running = await runConnector({
    broker: { url: broker.url },
    models: {
      words: { url: kserve.url },
      vectors: { url: kserve.url },
      assistant: { url: `${kserve.url}/openai`, modelName: 'words', protocolVersion: 'openai' },
      text: { url: triton.url },
      echo: { url: mlserver.url },
    },
  })
  client = await TestClient.connect(broker.url)
  await client.subscribe('infer/reply/cam7/#')
  await client.subscribe('infer/models/#')
  for (const name of ['words', 'vectors', 'assistant', 'text', 'echo']) {
    await client.wait(({ topic }) => topic === `infer/models/${name}`, `card of ${name}`, 20_000)
  }
}, 240_000)

afterAll(async () => {
  await client.close()
  await running.connector.stop()
  await Promise.all([kserve.stop(), triton.stop(), mlserver.stop()])
  await broker.stop()
})

interface Streamed {
  readonly parts: Received[]
  readonly last: Received
}

interface Stream {
  readonly id: string
  /** Resolves with the part that has this number. */
  part(seq: number): Promise<Received>
  end(): Promise<Streamed>
}

async function begin(
  where: string,
  body: string | object,
  properties: RequestProperties = {},
): Promise<Stream> {
  count += 1
  const id = `s${count}`
  const topic = `infer/reply/cam7/${where}/${id}`
  const payload = typeof body === 'string' ? body : JSON.stringify(body)
  await client.publish(`infer/request/cam7/${where}/${id}`, payload, properties)
  return {
    id,
    part: (seq) =>
      client.wait((each) => each.topic === topic && each.user['seq'] === String(seq), `part ${seq}`),
    end: async () => {
      const last = await client.wait(
        (each) => each.topic === topic && 'status' in each.user,
        `end of ${topic}`,
      )
      const all = client.received.filter((each) => each.topic === topic)
      expect(all.at(-1)).toBe(last)
      return { parts: all.slice(0, -1), last }
    },
  }
}

async function ask(where: string, body: string | object, properties?: RequestProperties): Promise<Streamed> {
  return await (await begin(where, body, properties)).end()
}

async function post(url: string, body: object): Promise<{ status: string; text: string }> {
  const answer = await fetch(url, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json' },
  })
  return { status: String(answer.status), text: await answer.text() }
}

const eventsOf = (text: string): string[] =>
  text.split('\n\n').flatMap((event) => (event.startsWith('data: ') ? [event.slice('data: '.length)] : []))
const textOf = ({ payload }: Received): string => payload.toString()
const seqs = ({ parts, last }: Streamed): (string | undefined)[] =>
  [...parts, last].map(({ user }) => user['seq'])
const numbers = (length: number): string[] => Array.from({ length }, (_, index) => String(index))
const chat = (content: string, more: object = {}): object => ({
  model: 'words',
  messages: [{ role: 'user', content }],
  ...more,
})

describe('on KServe', () => {
  test('the cards list the operations that the server supports, and chat is the default', () => {
    const cards = Object.fromEntries(
      ['words', 'vectors', 'assistant'].map((name) => {
        const card = client.received.find(({ topic }) => topic === `infer/models/${name}`)!.json()
        return [name, card as Record<string, unknown>]
      }),
    )
    expect(cards['assistant']).toMatchObject({
      protocol_versions: ['openai'],
      operations: ['chat', 'completions', 'embeddings', 'metadata', 'ready'],
      default_operation: 'chat',
    })
    expect(cards['words']).toMatchObject({ default_operation: 'chat' })
    expect(cards['words']!['protocol_versions']).toContain('openai')
  })

  test('whole answers and errors are the same as over HTTP', async () => {
    const calls = [
      ['words/chat', 'chat/completions', chat('a b c')],
      ['words/completions', 'completions', { model: 'words', prompt: 'a b c', max_tokens: 5 }],
      ['vectors/embeddings', 'embeddings', { model: 'vectors', input: ['a b', 'c'] }],
      ['words/chat', 'chat/completions', chat('a', { max_tokens: 0 })],
      ['words/chat', 'chat/completions', chat('a', { max_tokens: 0, stream: true })],
      ['words/chat', 'chat/completions', chat('a', { fail_at: 0 })],
      ['words/chat', 'chat/completions', { model: 'words' }],
      ['words/embeddings', 'embeddings', { model: 'words', input: 'a' }],
    ] as const
    for (const [where, path, body] of calls) {
      const expected = await post(`${kserve.url}/openai/v1/${path}`, body)
      const { parts, last } = await ask(where, body)
      expect(parts).toEqual([])
      expect({ status: last.user['status'], text: textOf(last) }, JSON.stringify(body)).toEqual(expected)
      expect(last.user).not.toHaveProperty('final')
    }
  })

  test.each([
    ['chat', 'chat/completions', chat('a b c', { stream: true })],
    ['completions', 'completions', { model: 'words', prompt: 'x y', stream: true, max_tokens: 4 }],
  ])(
    'the parts of a %s stream equal the events over HTTP, in the same order',
    async (operation, path, body) => {
      const expected = eventsOf((await post(`${kserve.url}/openai/v1/${path}`, body)).text)
      const stream = await ask(`words/${operation}`, body)
      expect([...stream.parts.map(textOf), textOf(stream.last)]).toEqual(expected)
      expect(expected.at(-1)).toBe('[DONE]')
      expect(seqs(stream)).toEqual(numbers(expected.length))
      expect(stream.last.user).toMatchObject({ status: '200', final: 'true' })
      for (const { properties, user, qos } of stream.parts) {
        expect([properties.contentType, user['final'], qos]).toEqual(['application/json', undefined, 1])
      }
    },
  )

  test('token counts are in the final message and in the metrics', async () => {
    const usage = { stream: true, stream_options: { include_usage: true } }
    const stream = await ask('words/chat', chat('a b c d', usage))
    expect(stream.last.user).toMatchObject({ 'prompt-tokens': '4', 'completion-tokens': '4' })
    const { last } = await ask('vectors/embeddings', { input: 'a b' })
    expect(last.user).toMatchObject({ 'prompt-tokens': '2', 'completion-tokens': '0' })
    const metrics = await (await fetch(`${running.connector.adminUrl!}/metrics`)).text()
    expect(metrics).toMatch(
      /inferwire_tokens_total\{model="words",operation="chat",kind="completion"\} [1-9]/,
    )
    expect(metrics).toMatch(
      /inferwire_first_part_duration_seconds_count\{model="words",operation="chat"\} [1-9]/,
    )
  })

  test('a stream that the server cuts off ends with stream_interrupted after its parts', async () => {
    const stream = await ask('words/chat', chat('a b c', { stream: true, fail_at: 2 }))
    expect(stream.parts).toHaveLength(2)
    expect(seqs(stream)).toEqual(['0', '1', '2'])
    expect(stream.last.user).toMatchObject({ status: '502', code: 'stream_interrupted', final: 'true' })
    expect(stream.last.json()).toMatchObject({ code: 'stream_interrupted', retryable: true })
  })

  test('a cancel message ends the generation on the server', async () => {
    const stream = await begin(
      'words/chat',
      chat('a b', { stream: true, user: 'u1', delay_ms: 30, max_tokens: 1_000 }),
    )
    await stream.part(2)
    await client.publish(`infer/cancel/cam7/words/chat/${stream.id}`, '')
    const { last } = await stream.end()
    expect(last.user).toMatchObject({ code: 'cancelled', final: 'true' })
    await expect.poll(() => kserve.log()).toMatch(/cancelled u1 after \d+ words/)
  })

  test("a stream and its generation end at the client's own deadline", async () => {
    const body = chat('a b', { stream: true, user: 'u2', delay_ms: 30, max_tokens: 1_000 })
    const stream = await ask('words/chat', body, { userProperties: { 'timeout-ms': '500' } })
    expect(stream.parts.length).toBeGreaterThan(0)
    expect(stream.last.user).toMatchObject({ code: 'deadline_exceeded', status: '504', final: 'true' })
    await expect.poll(() => kserve.log()).toMatch(/cancelled u2 after \d+ words/)
  })

  test('coalesce-ms joins deltas, without changing the text', async () => {
    const body = chat('one two three', { stream: true, delay_ms: 10, max_tokens: 30 })
    const { parts, last } = await ask(
      'words/completions',
      { ...body, prompt: 'one two three' },
      {
        userProperties: { 'coalesce-ms': '100' },
      },
    )
    expect(parts.length).toBeLessThan(20)
    const chunks = parts.map((part) => part.json() as { choices: { text: string }[] })
    expect(chunks.map(({ choices }) => choices[0]!.text).join('')).toBe('one two three '.repeat(10))
    expect(last.user).toMatchObject({ final: 'true', seq: String(parts.length) })
  })

  test('a repeated request joins the running stream, and receives the final message', async () => {
    const body = chat('a b c', { stream: true, delay_ms: 100 })
    const properties = { correlationData: Buffer.from('again') }
    const stream = await begin('words/chat', body, properties)
    await stream.part(0)
    await client.publish(`infer/request/cam7/words/chat/${stream.id}`, JSON.stringify(body), properties)
    const replies = (): Received[] =>
      client.received.filter(({ topic }) => topic === `infer/reply/cam7/words/chat/${stream.id}`)
    await expect.poll(() => replies().filter(({ user }) => user['final'] === 'true')).toHaveLength(2)
    expect(replies().map(({ user }) => user['seq'])).toEqual([...numbers(5), '4'])
  })

  test('a repeated request receives the remembered answer, if the answer was not streamed', async () => {
    const body = { model: 'vectors', input: 'a b c' }
    const properties = { correlationData: Buffer.from('remembered') }
    const first = await client.ask(
      'infer/request/cam7/vectors/embeddings/r1',
      JSON.stringify(body),
      properties,
    )
    const before = client.received.length
    await client.publish('infer/request/cam7/vectors/embeddings/r1', JSON.stringify(body), properties)
    await expect.poll(() => client.received.length).toBe(before + 1)
    const second = client.received.at(-1)!
    expect(second.payload).toEqual(first.payload)
    expect(second.user).toMatchObject({ status: '200', 'prompt-tokens': '3' })
    expect([first.user['server-timing'], second.user['server-timing']]).toEqual([
      expect.stringContaining('upstream'),
      expect.not.stringContaining('upstream'),
    ])
  })
})

describe('the model in a body', () => {
  const messages = [{ role: 'user', content: 'a' }]

  test.each([
    ['is the exposed name', { model: 'assistant', messages }],
    ['is absent', { messages }],
  ])('%s: the server receives its own name for the model', async (_, body) => {
    const { last } = await ask('assistant/chat', body)
    expect(last.user['status']).toBe('200')
    expect(last.json()).toMatchObject({ model: 'words' })
  })

  test.each([
    ['is another model', '{"model":"words","messages":[]}', 'forbidden_model', '403'],
    ['is escaped', '{"mod\\u0065l":"words","messages":[]}', 'forbidden_model', '403'],
    ['occurs twice', '{"model":"assistant","messages":[],"model":"words"}', 'bad_payload', '400'],
    ['is spelled with a capital letter', '{"Model":"words","messages":[]}', 'bad_payload', '400'],
    ['is not a string', '{"model":["words"],"messages":[]}', 'bad_payload', '400'],
    ['is in a body that is not JSON', '{"messages":[],}{"model":"words"}', 'bad_payload', '400'],
    ['is in UTF-16', Buffer.from('{"model":"words"}', 'utf16le').toString('latin1'), 'bad_payload', '400'],
  ])('%s: the request is refused', async (_, body, code, status) => {
    const { last } = await ask('assistant/chat', body)
    expect(last.user).toMatchObject({ code, status })
  })

  test('is replaced even in a body with 10,000 messages and n: 1000', async () => {
    const many = Array.from({ length: 10_000 }, (_, index) => ({ role: 'user', content: `m${index}` }))
    const { last } = await ask('assistant/chat', { n: 1_000, messages: many, max_tokens: 1 })
    expect(last.json()).toMatchObject({ choices: [{ message: { content: 'm9999 ' } }] })
  })

  test('metadata and ready replies describe only the model that the topic names', async () => {
    const metadata = await client.ask('infer/request/cam7/assistant/metadata', '')
    expect(metadata.json()).toMatchObject({ id: 'words', object: 'model' })
    expect(textOf(metadata)).not.toContain('vectors')
    const ready = await client.ask('infer/request/cam7/assistant/ready', '')
    expect([ready.user['status'], ready.json()]).toEqual(['200', { name: 'words', ready: true }])
  })
})

describe('on Triton', () => {
  test('the card lists generate', () => {
    const card = client.received.find(({ topic }) => topic === 'infer/models/text')!.json()
    expect(card).toMatchObject({
      protocol_versions: ['v2'],
      operations: ['infer', 'generate', 'metadata', 'ready'],
      default_operation: 'infer',
    })
  })

  test('generate gives the same answers and errors as over HTTP', async () => {
    const bodies = [
      { text_input: 'a b', max_tokens: 1 },
      { text_input: 'a b', max_tokens: 1, parameters: { stream: true } },
      // Triton answers 200 with an error.
      { text_input: 'a b', max_tokens: 3 },
      { text_input: 7 },
    ]
    for (const body of bodies) {
      const expected = await post(`${triton.url}/v2/models/text/generate`, body)
      const { parts, last } = await ask('text/generate', body)
      expect([parts, textOf(last)]).toEqual([[], expected.text])
      const isError = expected.text.startsWith('{"error"')
      expect(last.user['code']).toBe(isError ? 'upstream_error' : undefined)
      expect(last.user['status']).toBe(isError && expected.status === '200' ? '500' : expected.status)
    }
  })

  test('generate with "stream": true publishes a part for each event', async () => {
    const body = { text_input: 'a b c', max_tokens: 3, stream: true }
    const expected = eventsOf((await post(`${triton.url}/v2/models/text/generate_stream`, body)).text)
    const stream = await ask('text/generate', body)
    expect(stream.parts.map(textOf)).toEqual(expected)
    expect(seqs(stream)).toEqual(numbers(4))
    expect([textOf(stream.last), stream.last.user['final']]).toEqual(['[DONE]', 'true'])
  })

  test("errors before and during a stream contain the server's text", async () => {
    const failing = { text_input: 'a b', max_tokens: 3, stream: true }
    const before = await ask('text/generate', { ...failing, fail_at: 0 })
    const within = await ask('text/generate', { ...failing, fail_at: 2 })
    expect([before.parts.length, within.parts.length]).toEqual([0, 2])
    for (const { last } of [before, within]) {
      expect(last.user['code']).toBe('upstream_error')
      expect(last.json()).toEqual({ error: 'the model failed on purpose' })
    }
    expect(within.last.user).toMatchObject({ seq: '2', final: 'true' })
  })

  test('a cancel message ends the generation on the server', async () => {
    const stream = await begin('text/generate', {
      text_input: 'a',
      max_tokens: 1_000,
      delay_ms: 20,
      stream: true,
    })
    await stream.part(1)
    await client.publish(`infer/cancel/cam7/text/generate/${stream.id}`, '')
    expect((await stream.end()).last.user).toMatchObject({ code: 'cancelled', final: 'true' })
    await expect.poll(() => triton.log(), { timeout: 10_000 }).toMatch(/text: cancelled before word \d+/)
  })
})

const numbersBody = (parameters: object = {}): object => ({
  id: `m${(count += 1)}`,
  parameters,
  inputs: [{ name: 'x', shape: [3], datatype: 'INT64', data: [1, 2, 3] }],
})

describe('on MLServer', () => {
  test('the card lists infer_stream, but not generate, which is a different operation on MLServer', () => {
    const card = client.received.find(({ topic }) => topic === 'infer/models/echo')!.json()
    expect(card).toMatchObject({ operations: ['infer', 'infer_stream', 'metadata', 'ready'] })
  })

  test('infer_stream publishes a part for each answer', async () => {
    const asked = numbersBody()
    const expected = eventsOf((await post(`${mlserver.url}/v2/models/echo/infer_stream`, asked)).text)
    const stream = await ask('echo/infer_stream', asked)
    expect(stream.parts.map(textOf)).toEqual(expected)
    expect(expected).toHaveLength(3)
    expect(seqs(stream)).toEqual(numbers(4))
    expect([textOf(stream.last), stream.last.user['final']]).toEqual(['[DONE]', 'true'])
  })

  test('a model failure interrupts a running stream; a failure before the first part is answered with an error', async () => {
    const within = await ask('echo/infer_stream', numbersBody({ fail_at: 2 }))
    expect(within.parts).toHaveLength(2)
    expect(within.last.user).toMatchObject({ code: 'stream_interrupted', seq: '2', final: 'true' })
    const before = await ask('echo/infer_stream', numbersBody({ fail_at: 0 }))
    expect(before.parts).toEqual([])
    expect(before.last.user['status']).toMatch(/^[45]\d\d$/)
  })
})

test('a stream that was cut off by a connector crash ends with stream_interrupted, and is not restarted', async () => {
  const config = { broker: { url: broker.url }, root: 'crash', models: { words: { url: kserve.url } } }
  const connector = await ConnectorProcess.create({ ...config, name: 'crash' })
  try {
    await connector.startReady()
    await client.subscribe('crash/reply/cam7/#')
    await client.subscribe('crash/models/#')
    await client.wait(({ topic }) => topic === 'crash/models/words', 'card', 20_000)
    const body = JSON.stringify(chat('a b', { stream: true, delay_ms: 50, max_tokens: 200 }))
    await client.publish('crash/request/cam7/words/chat/c1', body)
    const replies = (): Received[] =>
      client.received.filter(({ topic }) => topic === 'crash/reply/cam7/words/chat/c1')
    await expect.poll(() => replies().length).toBeGreaterThan(3)
    await connector.end('SIGKILL')
    const before = replies().length
    await connector.startReady()
    await expect.poll(() => replies().at(-1)?.user['code'], { timeout: 20_000 }).toBe('stream_interrupted')
    expect(replies()).toHaveLength(before + 1)
  } finally {
    await connector.end()
  }
})

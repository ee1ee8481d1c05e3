// Tests `inferwire dev` with a GGUF file and the real llama.cpp: chat and completions through MQTT and the SDK must equal
// those over HTTP.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { connect, type Client } from '@inferwire/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  CONTEXT_TOKENS,
  COUNTED,
  COUNTED_TOKENS,
  countingModel,
  LAST_WORD,
} from './fixtures/counting-model.ts'
import { inferwire, startInferwire } from './fixtures/inferwire.ts'
import { folderWithLlama, llamaPackages } from './fixtures/llama.ts'
import { TestClient, type Received } from './fixtures/mqtt-client.ts'
import type { RunningCommand } from './fixtures/processes.ts'
import { tempFolder } from './fixtures/temp-folder.ts'

const FREE_PORTS = ['mqtt', 'ws', 'http', 'grpc', 'admin'].flatMap((name) => [`--${name}-port`, '0'])
const MODEL = 'counting'

let dev: RunningCommand
let url: string
let client: TestClient
let sdk: Client
let count = 0

beforeAll(async () => {
  const folder = folderWithLlama()
  writeFileSync(join(folder, 'model.gguf'), countingModel())
  dev = startInferwire(['dev', '--model', `${MODEL}=model.gguf`, ...FREE_PORTS], { cwd: folder })
  await dev.said(/Ctrl-C stops/)
  const [, broker] = /MQTT +(mqtt:\S+)/.exec(dev.stdout())!
  ;[, url = ''] = /Models +(http:\S+)/.exec(dev.stdout())!
  client = await TestClient.connect(broker!)
  await client.subscribe('infer/reply/cam7/#')
  sdk = await connect(broker!)
})

afterAll(async () => {
  await sdk?.close()
  await client?.close()
  dev?.signal('SIGINT')
  await dev?.ended
})

interface Usage {
  readonly prompt_tokens: number
  readonly completion_tokens: number
}

interface Answer {
  readonly usage: Usage | null
  readonly choices: readonly {
    readonly text?: string
    readonly message?: { readonly content: string }
    readonly delta?: { readonly content?: string }
    readonly finish_reason: string | null
  }[]
}

const CHAT = { model: MODEL, messages: [{ role: 'user' as const, content: 'one two' }], temperature: 0 }
const COMPLETION = { model: MODEL, prompt: 'one two', temperature: 0 }
const STREAMED = { stream: true as const, stream_options: { include_usage: true } }

async function overHttp(path: string, body: object): Promise<Answer> {
  const headers = { 'content-type': 'application/json' }
  const response = await fetch(`${url}/v1/${path}`, { method: 'POST', headers, body: JSON.stringify(body) })
  expect(response.status).toBe(200)
  return (await response.json()) as Answer
}

interface Exchange {
  readonly topic: string
  /** Returns the parts so far. */
  parts(): Received[]
  /** Resolves with the last message. */
  end(): Promise<Received>
}

async function begin(operation: string, body: object): Promise<Exchange> {
  const topic = `${MODEL}/${operation}/r${(count += 1)}`
  const isReply = (message: Received): boolean => message.topic === `infer/reply/cam7/${topic}`
  await client.publish(`infer/request/cam7/${topic}`, JSON.stringify(body))
  return {
    topic,
    parts: () =>
      client.received.filter((message) => isReply(message) && message.user['status'] === undefined),
    end: () => client.wait((each) => isReply(each) && 'status' in each.user, `end of ${topic}`, 30_000),
  }
}

function textOf(answers: readonly Answer[]): string {
  const choices = answers.flatMap((answer) => answer.choices)
  return choices.map(({ text, message, delta }) => text ?? message?.content ?? delta?.content ?? '').join('')
}

test('the parts of a streamed chat contain the text and the token counts of the chat over HTTP', async () => {
  const request = { ...CHAT, max_tokens: 2 * COUNTED_TOKENS.length }
  const http = await overHttp('chat/completions', request)
  // LlamaChat removes the space at the beginning.
  expect(textOf([http])).toBe(COUNTED.repeat(2).trimStart())
  expect(http.usage).toMatchObject({ completion_tokens: 14 })

  const chat = await begin('chat', { ...request, ...STREAMED })
  const last = await chat.end()
  const parts = chat.parts()
  const chunks = parts.map((part) => part.json() as Answer)
  expect(textOf(chunks)).toBe(textOf([http]))
  expect(parts.map(({ user }) => user['seq'])).toEqual(parts.map((_, index) => String(index)))
  expect(parts.length).toBeGreaterThan(10)
  expect(chunks.at(-1)!.usage).toEqual(http.usage)
  expect(last.user).toMatchObject({
    seq: String(parts.length),
    final: 'true',
    status: '200',
    'prompt-tokens': String(http.usage!.prompt_tokens),
    'completion-tokens': '14',
  })
})

test("a chat that is not streamed has the engine's text and token counts", async () => {
  const request = { ...CHAT, max_tokens: 9 }
  const http = await overHttp('chat/completions', request)
  const last = await (await begin('chat', request)).end()
  const answer = last.json() as Answer
  expect(answer.choices).toEqual(http.choices)
  expect(textOf([answer])).toBe('one two three four€ one two')
  expect(answer.usage).toEqual(http.usage)
  expect(last.user).toMatchObject({ 'completion-tokens': '9' })
})

test('the same seed gives the same text at temperature 1, and another seed another text', async () => {
  const texts = await Promise.all(
    [5, 5, 6].map(async (seed) => {
      const sent = await begin('completions', { ...COMPLETION, temperature: 1, seed, max_tokens: 60 })
      return textOf([(await sent.end()).json() as Answer])
    }),
  )
  const http = await overHttp('completions', { ...COMPLETION, temperature: 1, seed: 5, max_tokens: 60 })
  expect(texts[0]).toBe(textOf([http]))
  expect(texts[1]).toBe(texts[0])
  expect(texts[2]).not.toBe(texts[0])
})

// The tokens are " three", " four", the three bytes of "€", and " one". An incomplete character is left out.
test.each([
  [1, ' three'],
  [2, ' three four'],
  [3, ' three four'],
  [4, ' three four'],
  [5, ' three four€'],
  [6, ' three four€ one'],
])('a completion with max_tokens: %i has this number of tokens, and the text "%s"', async (tokens, text) => {
  const request = { ...COMPLETION, max_tokens: tokens }
  const whole = (await (await begin('completions', request)).end()).json() as Answer
  expect(whole).toMatchObject({
    choices: [{ text, finish_reason: 'length' }],
    usage: { prompt_tokens: 2, completion_tokens: tokens },
  })
  const stream = await begin('completions', { ...request, ...STREAMED })
  const last = await stream.end()
  expect(textOf(stream.parts().map((part) => part.json() as Answer))).toBe(text)
  expect(last.user['completion-tokens']).toBe(String(tokens))
})

test('a completion ends if the model generates its end token, or at a stop sequence', async () => {
  const ended = await begin('completions', { ...COMPLETION, prompt: `one ${LAST_WORD}`, max_tokens: 20 })
  expect((await ended.end()).json()).toMatchObject({ choices: [{ text: '', finish_reason: 'stop' }] })
  const stopped = await begin('completions', { ...COMPLETION, stop: '€ one', max_tokens: 20 })
  expect((await stopped.end()).json()).toMatchObject({
    choices: [{ text: ' three four', finish_reason: 'stop' }],
  })
})

test('a request for more tokens than the context has is refused', async () => {
  const last = await (await begin('completions', { ...COMPLETION, max_tokens: CONTEXT_TOKENS })).end()
  expect(last.user).toMatchObject({ status: '400', code: 'upstream_error' })
  expect(last.json()).toMatchObject({ error: { message: expect.stringContaining('8192 tokens') as string } })
})

test('embeddings receive the error of the model server', async () => {
  const last = await (await begin('embeddings', { model: MODEL, input: 'one' })).end()
  expect(last.user).toMatchObject({ status: '501', code: 'upstream_error' })
  expect(last.json()).toMatchObject({
    error: { message: 'The model "counting" does not support embeddings.' },
  })
})

test("the SDK's chat() yields the same text and token counts", async () => {
  const request = { ...CHAT, max_tokens: 9 }
  const whole = await sdk.chat(MODEL, request)
  const chunks: Answer[] = []
  for await (const chunk of sdk.chat(MODEL, { ...request, ...STREAMED })) chunks.push(chunk as Answer)
  expect(textOf(chunks)).toBe('one two three four€ one two')
  expect(textOf([whole as Answer])).toBe(textOf(chunks))
  expect(chunks.at(-1)!.usage).toEqual(whole.usage)
})

const ENDLESS = { ...CHAT, max_tokens: CONTEXT_TOKENS - 100, stream: true as const }
const PARTS = 100

/** Ends a long generation with `stop`, and expects that the next request does not wait for the rest of its tokens. */
async function expectFreeEngine(startedAt: number, stop: () => Promise<void> | void): Promise<void> {
  const partsMs = performance.now() - startedAt
  const before = await cancelled()
  await stop()
  const stoppedAt = performance.now()
  await (await begin('completions', { ...COMPLETION, max_tokens: 1 })).end()
  // The rest of the text has 56 times as many parts as were received before.
  expect(performance.now() - stoppedAt).toBeLessThan(20 * partsMs)
  await expect.poll(cancelled).toBe(before + 1)
}

async function cancelled(): Promise<number> {
  const metrics = await (await fetch(`${url}/metrics`)).text()
  return Number(/generations_total\{model="counting",outcome="cancelled"\} (\d+)/.exec(metrics)![1])
}

test('a cancel message stops the engine', async () => {
  const startedAt = performance.now()
  const chat = await begin('chat', ENDLESS)
  await expect.poll(() => chat.parts().length, { interval: 10, timeout: 30_000 }).toBeGreaterThan(PARTS)
  await expectFreeEngine(startedAt, async () => {
    await client.publish(`infer/cancel/cam7/${chat.topic}`, '')
    expect((await chat.end()).user).toMatchObject({ code: 'cancelled', final: 'true' })
  })
})

test("leaving the loop over the SDK's chat() stops the engine", async () => {
  const startedAt = performance.now()
  const stream = sdk.chat(MODEL, ENDLESS)[Symbol.asyncIterator]()
  for (let part = 0; part <= PARTS; part++) expect((await stream.next()).done).not.toBe(true)
  await expectFreeEngine(startedAt, async () => void (await stream.return!()))
})

test('without node-llama-cpp, the command that installs it is in the error and in the guide', async () => {
  const folder = tempFolder('no-llama')
  writeFileSync(join(folder, 'model.gguf'), countingModel())
  const args = ['dev', '--model', `${MODEL}=model.gguf`, ...FREE_PORTS]
  const { code, stderr } = await inferwire(args, { cwd: folder })
  expect(code).toBe(69)
  const guide = readFileSync(new URL('../docs/guides/local-models.md', import.meta.url), 'utf8')
  const command = 'npm install --omit=optional --ignore-scripts'
  const [platform, engine] = llamaPackages()
  expect(stderr).toContain(`${command} ${engine} ${platform}`)
  expect(guide).toContain(`${command} ${engine} ${platform}`)
})

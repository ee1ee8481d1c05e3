// Tests how gguf-model.ts calls llama.cpp and uses the results. A stand-in replaces llama.cpp;
// conformance/gguf.test.ts tests the real one, with chat templates and token counts.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { loadGguf, type TextEngine, type TextOptions } from './gguf-model.ts'
import type { LanguageModel, Piece, Sampling } from './language-model.ts'

const folder = mkdtempSync(join(tmpdir(), 'inferwire-gguf-'))
afterAll(() => rmSync(folder, { recursive: true }))

const file = join(folder, 'model.gguf')
writeFileSync(file, 'GGUF\u0003\u0000\u0000\u0000')

const SAMPLING: Sampling = { tokensMax: undefined, tokensDefault: 512, temperature: 0.5, topP: 0.9, seed: 3 }
const present = new AbortController().signal

interface Call {
  readonly prompt: unknown
  readonly options: TextOptions
  end(finish: 'stop' | 'length'): void
  fail(error: Error): void
}

async function load(): Promise<{ model: LanguageModel; calls: Call[] }> {
  const calls: Call[] = []
  const engine: TextEngine = {
    load: async () => ({
      contextTokens: 100,
      countTokens: (prompt) => (typeof prompt === 'string' ? prompt.length : 10),
      generate: (prompt, options) =>
        new Promise((resolve, reject) => {
          calls.push({ prompt, options, end: resolve, fail: reject })
          options.signal.addEventListener('abort', () => reject(options.signal.reason as Error))
        }),
      release: async () => undefined,
    }),
  }
  return { model: await loadGguf({ name: 'm', file }, async () => engine), calls }
}

test('passes pieces on as they arrive, and reports why the text ends', async () => {
  const { model, calls } = await load()
  const messages = [{ role: 'user', content: 'Hi' }]
  const { promptTokens, pieces } = await model.chat(messages, SAMPLING, present)
  expect(promptTokens).toBe(10)
  const reader = pieces[Symbol.asyncIterator]()
  const first = reader.next()
  await expect.poll(() => calls.length).toBe(1)
  expect(calls[0]).toMatchObject({
    prompt: messages,
    // The prompt uses 10 of the 100 tokens of the context.
    options: { tokensMax: 90, temperature: 0.5, topP: 0.9, seed: 3 },
  })
  calls[0]!.options.onPiece({ text: 'One', tokens: 1 })
  expect((await first).value).toEqual({ text: 'One', tokens: 1 })
  calls[0]!.options.onPiece({ text: ' two', tokens: 2 })
  calls[0]!.end('length')
  expect((await reader.next()).value).toEqual({ text: ' two', tokens: 2 })
  expect((await reader.next()).value).toEqual({ text: '', tokens: 0, finish: 'length' })
  expect((await reader.next()).done).toBe(true)
})

test('runs one generation at a time', async () => {
  const { model, calls } = await load()
  const ends = ['a', 'b'].map(async (prompt) =>
    allOf((await model.complete(prompt, SAMPLING, present)).pieces),
  )
  await expect.poll(() => calls.length).toBe(1)
  calls[0]!.end('stop')
  await ends[0]
  await expect.poll(() => calls.length).toBe(2)
  calls[1]!.end('stop')
  await ends[1]
  expect(calls.map(({ prompt }) => prompt)).toEqual(['a', 'b'])
})

test('stops the engine when the reader stops reading, and when the client disconnects', async () => {
  const { model, calls } = await load()
  const { pieces } = await model.complete('a', SAMPLING, present)
  const reading = (async () => {
    for await (const piece of pieces) if (piece.tokens > 0) break
  })()
  await expect.poll(() => calls.length).toBe(1)
  calls[0]!.options.onPiece({ text: 'x', tokens: 1 })
  await reading
  expect(calls[0]!.options.signal.aborted).toBe(true)

  const client = new AbortController()
  const second = allOf((await model.complete('b', SAMPLING, client.signal)).pieces)
  await expect.poll(() => calls.length).toBe(2)
  client.abort()
  await expect(second).rejects.toThrow('aborted')
})

test('an engine error ends only the generation in which it occurs', async () => {
  const { model, calls } = await load()
  const failed = allOf((await model.complete('a', SAMPLING, present)).pieces)
  await expect.poll(() => calls.length).toBe(1)
  calls[0]!.fail(new Error('no memory'))
  await expect(failed).rejects.toThrow('no memory')
  const next = allOf((await model.complete('b', SAMPLING, present)).pieces)
  await expect.poll(() => calls.length).toBe(2)
  calls[1]!.end('stop')
  expect(await next).toHaveLength(1)
})

test('refuses a prompt that does not fit, before it calls the engine', async () => {
  const { model, calls } = await load()
  await expect(model.complete('x'.repeat(100), SAMPLING, present)).rejects.toThrow(/has 100 tokens/)
  await expect(model.complete('x', { ...SAMPLING, tokensMax: 100 }, present)).rejects.toThrow(/100 more/)
  expect(calls).toEqual([])
})

test.each([
  ['model_file_unreadable', join(folder, 'none.gguf'), /Cannot read .*names a \.gguf file/],
  ['invalid_model', join(folder, 'page.gguf'), /first bytes are not "GGUF"/],
  ['invalid_model', file, /node-llama-cpp cannot load .*: bad magic/],
])('reports %s', async (code, path, message) => {
  writeFileSync(join(folder, 'page.gguf'), '<html>')
  const engine: TextEngine = { load: () => Promise.reject(new Error('bad magic')) }
  await expect(loadGguf({ name: 'm', file: path }, async () => engine)).rejects.toMatchObject({
    code,
    message: expect.stringMatching(message) as string,
  })
})

async function allOf(pieces: AsyncIterable<Piece>): Promise<Piece[]> {
  const all: Piece[] = []
  for await (const piece of pieces) all.push(piece)
  return all
}

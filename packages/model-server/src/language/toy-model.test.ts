import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import type { Generation, Sampling } from './language-model.ts'
import { Ngrams } from './ngrams.ts'
import { paced } from './paced.ts'
import { randomNumbers, sample } from './sample.ts'
import { countTokens, tokenize } from './tokenize.ts'
import { toyModel } from './toy-model.ts'

const SAMPLING: Sampling = { tokensMax: undefined, tokensDefault: 512, temperature: 1, topP: 1, seed: 1 }
const model = toyModel()
const present = new AbortController().signal

async function textOf({ pieces }: Generation): Promise<string> {
  let text = ''
  for await (const piece of pieces) text += piece.text
  return text
}

const ask = (content: string, sampling: Partial<Sampling> = {}): Promise<Generation> =>
  model.chat([{ role: 'user', content }], { ...SAMPLING, ...sampling }, present)

test('answers with a sentence of the book that contains a word of the question', async () => {
  for (let seed = 0; seed < 20; seed++) {
    const text = await textOf(await ask('Do you know the Caterpillar?', { seed }))
    expect(text).toMatch(/^[A-Z].*Caterpillar/s)
  }
})

test('answers a question whose words are not in the book', async () => {
  expect(await textOf(await ask('MQTT?'))).toMatch(/\w+ \w+/)
  expect(await textOf(await ask('\u0000\ud83d'))).toMatch(/\w+ \w+/)
})

test('writes only words of the book', async () => {
  const book = readFileSync(new URL('../../texts/alice.txt', import.meta.url), 'utf8')
  const words = new Set(tokenize(book).map((token) => token.trim()))
  for (let seed = 0; seed < 20; seed++) {
    const generated = tokenize(await textOf(await ask('Hello', { seed })))
    expect(generated.filter((token) => !words.has(token.trim()))).toEqual([])
  }
})

test('draws tokens with the probabilities that it computes', () => {
  const ngrams = new Ngrams('a b a c a b d\na b b d')
  const random = randomNumbers(1)
  for (const [before, last] of [
    ['b', ' a'],
    [undefined, 'a'],
    ['x', 'unknown'],
    [' a', ' b'],
  ] as const) {
    const counts = new Map<string, number>()
    for (let draw = 0; draw < 10_000; draw++) {
      const token = ngrams.draw(before, last, random)
      counts.set(token, (counts.get(token) ?? 0) + 1)
    }
    const probabilities = ngrams.next(before, last)
    expect([...counts.keys()].sort()).toEqual([...probabilities.keys()].sort())
    for (const [token, count] of counts) expect(count / 10_000).toBeCloseTo(probabilities.get(token)!, 1)
  }
})

test('joining the tokens of any text gives back that text', () => {
  const text = "It's 5 o'clock -- “well-known”, isn't it?\n\tÄ\ud83d\ude00 " + 'x'.repeat(100)
  expect(tokenize(text).join('')).toBe(text)
})

test.each(['', 'a b c', 'x'.repeat(1000), ' x'.repeat(1000), 'x, '.repeat(1000)])(
  'counts the tokens of %j, unless there are too many',
  (text) => {
    const count = tokenize(text).length
    expect(countTokens(text, count)).toBe(count)
    for (const max of [0, 10, 100]) expect(countTokens(text, max) > max).toBe(count > max)
  },
)

test.each([
  [{ temperature: 0, topP: 1 }, 0.999, 'a'],
  [{ temperature: 1, topP: 1 }, 0.999, 'c'],
  [{ temperature: 1, topP: 0.5 }, 0.999, 'a'],
  [{ temperature: 1, topP: 0.85 }, 0.999, 'b'],
  [{ temperature: 1, topP: 1 }, 0, 'a'],
  [{ temperature: 0.01, topP: 1 }, 0.999, 'a'],
])('%o and the random number %d choose %s', (sampling, random, chosen) => {
  const probabilities = new Map([
    ['c', 0.1],
    ['b', 0.3],
    ['a', 0.6],
  ])
  expect(sample(probabilities, sampling, () => random)).toBe(chosen)
})

test('a paced model is not faster than its limit', async () => {
  const startedAtMs = performance.now()
  await textOf(
    await paced(model, 200).complete('The', { ...SAMPLING, tokensMax: 20, temperature: 0 }, present),
  )
  // Node.js timers can fire up to a millisecond early.
  expect(performance.now() - startedAtMs).toBeGreaterThanOrEqual(99)
})

test('the wait for the next token ends when the signal is aborted', async () => {
  const leaving = new AbortController()
  const { pieces } = await paced(model, 0.001).complete('The', SAMPLING, leaving.signal)
  const first = pieces[Symbol.asyncIterator]().next()
  leaving.abort()
  await expect(first).rejects.toThrow('aborted')
})

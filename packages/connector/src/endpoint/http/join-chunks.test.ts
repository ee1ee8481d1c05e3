// Tests which events of a stream are joined, and when they are emitted. The clock is simulated.
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { ChunkJoiner } from './join-chunks.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const parts: unknown[] = []
let joiner: ChunkJoiner
function start(coalesceMs: number): void {
  parts.length = 0
  joiner = new ChunkJoiner(({ body }) => parts.push(JSON.parse(Buffer.from(body).toString())), coalesceMs)
}

interface Overrides {
  readonly chunk?: object
  readonly choice?: object
  readonly delta?: object
}
function chat(content: string, { chunk, choice, delta }: Overrides = {}): object {
  const choices = [{ index: 0, delta: { content, ...delta }, ...choice }]
  return { id: 'c1', object: 'chat.completion.chunk', created: 1, model: 'm', choices, ...chunk }
}
const add = (chunk: object): void => joiner.add(Buffer.from(JSON.stringify(chunk)), chunk as never)
const textOf = (part: unknown): string =>
  (part as { choices: { delta: { content: string } }[] }).choices[0]!.delta.content

test('emits the first event at once, and joins the events that follow until the configured time has passed', () => {
  start(100)
  for (const each of ['a', 'b', 'c']) add(chat(each))
  expect(parts).toEqual([chat('a')])
  vi.advanceTimersByTime(99)
  expect(parts).toHaveLength(1)
  vi.advanceTimersByTime(1)
  expect(parts).toEqual([chat('a'), chat('bc')])
  vi.advanceTimersByTime(1_000)
  add(chat('d'))
  expect(parts).toEqual([chat('a'), chat('bc'), chat('d')])
})

const text = (part: string, created: number): object => ({
  id: 'x',
  created,
  usage: null,
  choices: [{ index: 0, text: part, finish_reason: null, logprobs: null }],
})

test('joins the texts of completions with explicit nulls, and keeps the first creation time', () => {
  start(100)
  for (const [index, part] of ['a', 'b', 'c'].entries()) add(text(part, index))
  vi.advanceTimersByTime(100)
  expect(parts).toEqual([text('a', 0), text('bc', 1)])
})

test.each<[string, object]>([
  ['the last event of a choice', chat('', { choice: { finish_reason: 'stop' } })],
  ['a tool call', chat('x', { delta: { tool_calls: [{ index: 0 }] } })],
  ['a role', chat('x', { delta: { role: 'assistant' } })],
  ['log probabilities', chat('x', { choice: { logprobs: { content: [] } } })],
  ['the usage', chat('x', { chunk: { usage: { prompt_tokens: 1, completion_tokens: 2 } } })],
  ['an unknown member', chat('x', { chunk: { timings: {} } })],
  ['a nested creation time', chat('x', { chunk: { created: [[1]] } })],
  ['two choices', { id: 'c1', choices: [{ index: 0 }, { index: 1 }] }],
  ['no choices', { id: 'c1', choices: [] }],
  ['a content that is not text', chat('x', { delta: { content: ['y'] } })],
  ['both a delta and a text', chat('x', { choice: { text: 'y' } })],
])('an event with %s becomes a part of its own, after the part with the earlier events', (_, event) => {
  start(100)
  for (const each of ['a', 'b', 'c']) add(chat(each))
  add(event)
  expect(parts).toEqual([chat('a'), chat('bc'), event])
  add(chat('d'))
  vi.advanceTimersByTime(100)
  expect(parts.slice(3)).toEqual([chat('d')])
})

test.each<[string, object]>([
  ['choice', chat('x', { choice: { index: 1 } })],
  ['answer', chat('x', { chunk: { id: 'c2' } })],
  ['model', chat('x', { chunk: { model: 'other' } })],
])('events with a different %s are not joined', (_, event) => {
  start(100)
  for (const each of ['a', 'b', 'c']) add(chat(each))
  add(event)
  expect(parts.map(textOf)).toEqual(['a', 'bc'])
  joiner.flush()
  expect(parts.at(-1)).toEqual(event)
})

test('joins nothing if the time is 0, and never joins an event that was not parsed', () => {
  start(0)
  for (const each of ['a', 'b', 'c']) add(chat(each))
  expect(parts.map(textOf)).toEqual(['a', 'b', 'c'])
  start(100)
  for (const each of ['a', 'b']) joiner.add(Buffer.from(JSON.stringify(chat(each))), undefined)
  expect(parts.map(textOf)).toEqual(['a', 'b'])
})

test('leaves no timer behind', () => {
  start(100)
  for (const each of ['a', 'b']) add(chat(each))
  joiner.drop()
  expect(vi.getTimerCount()).toBe(0)
  joiner.flush()
  expect(parts.map(textOf)).toEqual(['a'])
})

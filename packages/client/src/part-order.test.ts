import { expect, test } from 'vitest'
import { PartOrder } from './part-order.ts'

const facts = { model: 'llm', operation: 'chat', attempts: 1, durationMs: 1 }
const messageOf = (seq: number, text: string) => ({
  topic: 't',
  payload: new TextEncoder().encode(text),
  properties: { userProperties: ['seq', String(seq)] },
})

test('recognizes repeats of the last 4096 parts by their contents', () => {
  const order = new PartOrder('llm')
  for (let seq = 0; seq < 5_000; seq++) {
    expect(order.place(messageOf(seq, `part ${seq}`), facts)).toMatchObject({ kind: 'part', part: { seq } })
  }
  expect(order.place(messageOf(4_999, 'part 4999'), facts)).toEqual({ kind: 'repeat' })
  expect(order.place(messageOf(904, 'part 904'), facts)).toEqual({ kind: 'repeat' })
  // Part 903 is no longer remembered, so its contents cannot be compared.
  expect(order.place(messageOf(903, 'part 903'), facts)).toMatchObject({ kind: 'broken' })
  expect(order.place(messageOf(4_999, 'part 4998'), facts)).toMatchObject({
    kind: 'broken',
    error: { code: 'stream_interrupted' },
  })
})

test('throws the error that ends a stream, even if earlier parts are missing', () => {
  const order = new PartOrder('llm')
  const error = { error: 'The part is too large.', code: 'response_too_large', status: 502, retryable: false }
  const last = messageOf(1, JSON.stringify(error))
  last.properties.userProperties.push('final', 'true', 'status', '502', 'code', 'response_too_large')
  expect(() => order.place(last, facts)).toThrow('The part is too large.')
})

test('throws an error that ends a stream and has no part number', () => {
  const order = new PartOrder('llm')
  order.place(messageOf(0, 'a'), facts)
  const error = { error: 'Redelivered.', code: 'stream_interrupted', status: 502, retryable: true }
  const userProperties = ['status', '502', 'code', 'stream_interrupted', 'final', 'true']
  const payload = new TextEncoder().encode(JSON.stringify(error))
  expect(() => order.place({ topic: 't', payload, properties: { userProperties } }, facts)).toThrow(
    'Redelivered.',
  )
})

test('with isRest, a stream may begin at any part, but must have no gap after that part', () => {
  const order = new PartOrder('llm', true)
  expect(order.place(messageOf(7, 'a'), facts)).toMatchObject({ kind: 'part', part: { seq: 7 } })
  expect(order.place(messageOf(7, 'a'), facts)).toEqual({ kind: 'repeat' })
  expect(order.place(messageOf(9, 'c'), facts)).toMatchObject({ kind: 'broken' })
})

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

// Tests which V2 requests may share a call, and which answers can be divided.
import { expect, test } from 'vitest'
import type { CarriedBody } from '../body/carried-body.ts'
import { tensorsRules } from './tensors.ts'

const INPUT = { name: 'x', datatype: 'FP32', shape: [1], data: [1] }

function json(value: unknown): CarriedBody {
  return { body: new TextEncoder().encode(JSON.stringify(value)), jsonLength: undefined }
}

const split = (answer: Record<string, unknown>): CarriedBody[] | undefined => {
  const members = [1, 2].map((value) => tensorsRules.read(json({ inputs: [{ ...INPUT, data: [value] }] }))!)
  return tensorsRules.split(members, json({ model_name: 'm', ...answer }))
}
const output = (given: Record<string, unknown> = {}): Record<string, unknown> => ({
  outputs: [{ name: 'y', datatype: 'FP32', shape: [2], data: [1, 2], ...given }],
})

test.each([
  ['the answer', { parameters: { content_type: 'np', cached: false }, ...output() }],
  ['an output', output({ parameters: { content_type: 'np' } })],
])('scalars in the parameters of %s reach every client', (_what, answer) => {
  const parts = split(answer)!
  for (const { body } of parts) expect(new TextDecoder().decode(body)).toContain('"content_type":"np"')
})

test.each([
  ['a list in the parameters', { parameters: { names: ['a', 'b'] }, ...output() }],
  ['an object in the parameters', { parameters: { a: { names: 'a' } }, ...output() }],
  ['a list as the parameters', { parameters: ['a', 'b'], ...output() }],
  ['a list in the parameters of an output', output({ parameters: { rows: [1, 2] } })],
  ['another list in an output', output({ labels: ['a', 'b'] })],
])('an answer with %s is not divided, because it may contain rows of other clients', (_what, answer) => {
  expect(split(answer)).toBeUndefined()
})

test('a request of a sequence has a call of its own', () => {
  const read = (parameters: unknown): unknown => tensorsRules.read(json({ inputs: [INPUT], parameters }))
  expect(read({ sequence_id: 7 })).toBeUndefined()
  expect(read({ sequence_id: 'a', sequence_start: true })).toBeUndefined()
  expect(read({ binary_data_output: true })).toBeDefined()
  expect(read(null)).toBeDefined()
  const escaped = `{"inputs":[${JSON.stringify(INPUT)}],"parameters":{"sequence\\u005fid":7}}`
  expect(
    tensorsRules.read({ body: new TextEncoder().encode(escaped), jsonLength: undefined }),
  ).toBeUndefined()
})

const readStrings = (count: number, bytesPerElement: number): unknown => {
  const element = new Uint8Array(4 + bytesPerElement)
  new DataView(element.buffer).setUint32(0, bytesPerElement, true)
  const binary = Buffer.concat(Array.from({ length: count }, () => element))
  const parameters = { binary_data_size: binary.length }
  const { body } = json({ inputs: [{ name: 'x', datatype: 'BYTES', shape: [count], parameters }] })
  return tensorsRules.read({ body: Buffer.concat([body, binary]), jsonLength: body.length })
}

test('a request with too many binary strings is not merged; a request with two long strings can be merged', () => {
  expect(readStrings(64 * 1024, 0)).toBeDefined()
  expect(readStrings(64 * 1024 + 1, 0)).toBeUndefined()
  expect(readStrings(2, 300_000)).toBeDefined()
})

import { expect, test } from 'vitest'
import { operationOf, toBytes } from './body.ts'

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

test('sends objects as JSON, and text and bytes unchanged', () => {
  const bytes = new Uint8Array([0xff, 0])
  expect(text(toBytes({ instances: [1] }))).toBe('{"instances":[1]}')
  expect(text(toBytes('{"a": 1e400}'))).toBe('{"a": 1e400}')
  expect(toBytes(bytes)).toBe(bytes)
  expect(toBytes(undefined)).toHaveLength(0)
})

test('rejects a number as a body', () => {
  expect(() => toBytes(5 as unknown as string)).toThrow(/body is 5; expected/)
  expect(() => toBytes(null as unknown as string)).toThrow(TypeError)
})

test('writes typed arrays as lists, and throws a TypeError for values that JSON cannot represent', () => {
  const body = { instances: [new Float32Array([1.5, 2])], id: 9007199254740993n }
  expect(text(toBytes(body))).toBe('{"instances":[[1.5,2]],"id":9007199254740993}')
  expect(() => toBytes({ instances: [[Number.NaN]] })).toThrow(/^body\.instances\[0\]\[0\] is NaN/)
  expect(() => toBytes({ instances: new Map() })).toThrow(/^body\.instances is of type Map/)
})

test.each([
  new Float32Array([1.5]),
  new ArrayBuffer(4),
  new DataView(new ArrayBuffer(4)),
  new BigInt64Array(1),
])('rejects the ambiguous body %o with a TypeError that explains how to send numbers or bytes', (body) => {
  expect(() => toBytes(body)).toThrow(/^body is of type \w+; put it into an object .* as a Uint8Array\.$/)
})

test.each([
  [{ instances: [] }, 'predict'],
  [{ inputs: [] }, 'infer'],
  ['{"inputs":[]}', 'infer'],
  [new TextEncoder().encode('{"instances":[]}'), 'predict'],
  [{ prompt: 'x' }, undefined],
  ['no JSON', undefined],
  ['null', undefined],
  [undefined, undefined],
  [Object.create({ inputs: [] }) as object, undefined],
])('the body %j implies the operation %s', (body, operation) => {
  expect(operationOf(body)).toBe(operation)
})

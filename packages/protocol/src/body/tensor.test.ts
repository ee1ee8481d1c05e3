import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { BodyError } from './body-error.ts'
import { DATATYPES, type Datatype } from './datatype.ts'
import type { Json } from './json.ts'
import { countOf, flatten, toFlatJson, toNestedJson, toTensorData } from './tensor.ts'

test('flattens nested lists to the original values', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 }), (shape) => {
      const data = Float64Array.from({ length: countOf(shape) }, (_, index) => index / 3)
      const nested = JSON.parse(toNestedJson({ name: 'X', datatype: 'FP64', shape, data })) as Json[]
      expect(flatten(nested)).toEqual({ shape, values: [...data] })
    }),
  )
})

test('rejects ragged lists', () => {
  for (const ragged of [
    [[1, 2], [3]],
    [1, [2]],
    [[1], 2],
    [[[1]], [[]]],
    [[], [1]],
  ]) {
    expect(() => flatten(ragged)).toThrow('inhomogeneous')
  }
})

test('turns any values of any datatype into a tensor or a BodyError', () => {
  const json: fc.Arbitrary<Json> = fc.oneof(
    fc.double(),
    fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }),
    fc.boolean(),
    fc.string(),
    fc.constant(null),
  )
  fc.assert(
    fc.property(fc.constantFrom(...DATATYPES), fc.array(json, { maxLength: 4 }), (datatype, values) => {
      try {
        expect(toTensorData('X', datatype, values)).toHaveLength(values.length)
      } catch (error) {
        expect(error).toBeInstanceOf(BodyError)
        expect((error as BodyError).code).toBe('invalid_value')
      }
    }),
  )
})

test.each([
  ['UINT8', [256]],
  ['UINT8', [-1]],
  ['INT8', [128]],
  ['INT32', [1.7]],
  ['INT32', [2 ** 31]],
  ['INT64', [2n ** 63n]],
  ['UINT64', [-1]],
  ['INT64', [1.5]],
  ['INT64', [true]],
  ['FP32', ['1.5']],
  ['FP32', [true]],
  ['FP32', [null]],
  ['FP64', [null]],
  ['FP32', [1e39]],
  ['FP32', [-3.5e38]],
  ['FP32', [10n ** 39n]],
  ['BOOL', ['false']],
  ['BOOL', [1]],
  ['BYTES', [1]],
  ['FP64', [{}]],
] as [Datatype, Json[]][])(
  'rejects a value instead of rounding, wrapping or coercing it: %s %s',
  (datatype, values) => {
    expect(() => toTensorData('X', datatype, values)).toThrow(`is not a value of ${datatype}`)
  },
)

test('reads NaN and infinities as numbers, and writes them as null', () => {
  const data = toTensorData('X', 'FP32', [NaN, Infinity, -Infinity, 1.5])
  expect(data).toEqual(Float32Array.of(NaN, Infinity, -Infinity, 1.5))
  expect(toFlatJson('FP32', data)).toBe('[null,null,null,1.5]')
})

test('accepts the largest FP32 values and values that round to them, and accepts larger values as FP64', () => {
  const largest = 3.4028234663852886e38
  expect(toTensorData('X', 'FP32', [largest, -largest, 3.4028235e38])).toEqual(
    Float32Array.of(largest, -largest, largest),
  )
  expect(toTensorData('X', 'FP64', [1e39, 10n ** 39n])).toEqual(Float64Array.of(1e39, 1e39))
})

test('keeps 64-bit integers exact in both directions', () => {
  const values = [-(2n ** 63n), 2n ** 63n - 1n, 7]
  const data = toTensorData('X', 'INT64', values)
  expect(toFlatJson('INT64', data)).toBe(`[${values.join(',')}]`)
})

test('writes a scalar as a bare value, and an axis of size 0 as an empty list', () => {
  expect(toNestedJson({ name: 'X', datatype: 'FP32', shape: [], data: Float32Array.of(2) })).toBe('2')
  expect(toNestedJson({ name: 'X', datatype: 'FP32', shape: [0, 3], data: new Float32Array() })).toBe('[]')
})

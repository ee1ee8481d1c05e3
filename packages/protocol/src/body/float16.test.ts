import { expect, test } from 'vitest'
import { fromBfloat16, fromFloat16, toBfloat16, toFloat16, toHalves } from './float16.ts'

const PATTERNS = Uint16Array.from({ length: 65_536 }, (_, pattern) => pattern)

test.each([
  [0x0000, 0],
  [0x8000, -0],
  [0x0001, 2 ** -24],
  [0x03ff, 1023 * 2 ** -24],
  [0x0400, 2 ** -14],
  [0x3555, 0.333251953125],
  [0x3c00, 1],
  [0xc000, -2],
  [0x7bff, 65_504],
  [0x7c00, Infinity],
  [0xfc00, -Infinity],
  [0x7e00, NaN],
])('the FP16 pattern %i is the value %d (IEEE 754 binary16)', (pattern, value) => {
  expect(fromFloat16([pattern])[0]).toBe(value)
  expect(toFloat16([value])[0]).toBe(pattern)
})

test('every FP16 value survives the conversion to FP32 and back', () => {
  const values = fromFloat16(PATTERNS)
  const back = toFloat16(values)
  for (const pattern of PATTERNS) {
    if (Number.isNaN(values[pattern])) expect(Number.isNaN(fromFloat16([back[pattern]!])[0])).toBe(true)
    else if (back[pattern] !== pattern) expect([pattern, back[pattern]]).toEqual([pattern, pattern])
  }
})

test('a value between two FP16 values is rounded to the nearer one, or at the midpoint to the even one', () => {
  const positive = PATTERNS.subarray(0, 0x7c00)
  const values = fromFloat16(positive)
  for (let pattern = 0; pattern + 1 < positive.length; pattern++) {
    const [low, high] = [values[pattern]!, values[pattern + 1]!]
    const middle = (low + high) / 2
    const even = pattern % 2 === 0 ? pattern : pattern + 1
    const found = toFloat16([middle - (high - low) / 8, middle, middle + (high - low) / 8, -middle])
    const expected = [pattern, even, pattern + 1, even | 0x8000]
    if (found.join() !== expected.join()) expect([pattern, ...found]).toEqual([pattern, ...expected])
  }
})

test('an FP16 value is rounded once, not first to FP32', () => {
  // Rounded to FP32, this value would become the midpoint between 1 and the next FP16 value, and then be rounded to the
  // even 1.
  expect(toFloat16([1 + 2 ** -11 + 2 ** -40])[0]).toBe(0x3c01)
})

test('values beyond the range of FP16 become infinite', () => {
  expect([...toFloat16([65_519.99, 65_520, -1e300])]).toEqual([0x7bff, 0x7c00, 0xfc00])
})

test('every BF16 value survives the conversion to FP32 and back', () => {
  const values = fromBfloat16(PATTERNS)
  const back = toBfloat16(values)
  for (const pattern of PATTERNS) {
    if (Number.isNaN(values[pattern])) expect(Number.isNaN(fromBfloat16([back[pattern]!])[0])).toBe(true)
    else if (back[pattern] !== pattern) expect([pattern, back[pattern]]).toEqual([pattern, pattern])
  }
})

test('a BF16 value is rounded once, not first to FP32', () => {
  // In FP32, this value is the midpoint of 1 and the next BF16 value, which would round to the even 1.
  expect(toBfloat16([1 + 2 ** -8 + 2 ** -40])[0]).toBe(0x3f81)
  expect([...toBfloat16([2 ** -133, 2 ** -134, 1.5 * 2 ** -134, -1e-45])]).toEqual([1, 0, 1, 0x8000])
})

test('a tensor may contain infinities, but a finite value must not become infinite', () => {
  expect([...toHalves('input "x"', 'FP16', [65_519.9, -Infinity])]).toEqual([0x7bff, 0xfc00])
  for (const [datatype, value] of [
    ['FP16', 70_000],
    ['BF16', -3.4e38],
  ] as const) {
    expect(() => toHalves('input "x"', datatype, [value])).toThrow(
      `input "x": ${value} is not a value of ${datatype}`,
    )
  }
})

test('BF16 rounds half to even', () => {
  expect([...toBfloat16([1, 1 + 2 ** -8, 1 + 3 * 2 ** -8, 1 + 2 ** -8 + 2 ** -20, 3.4e38])]).toEqual([
    0x3f80, 0x3f80, 0x3f82, 0x3f81, 0x7f80,
  ])
})

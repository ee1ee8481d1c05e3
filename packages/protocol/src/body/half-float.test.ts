// Tests FP16 and BF16 with every 16-bit pattern, and the rounding of values between two patterns.
import { expect, test } from 'vitest'
import { fromBfloat, fromHalf, toBfloat, toHalf } from './half-float.ts'

test('each of the 65536 values of both formats survives both conversions', () => {
  const broken: string[] = []
  for (let bits = 0; bits < 0x1_0000; bits++) {
    for (const [name, from, to] of [
      ['FP16', fromHalf, toHalf],
      ['BF16', fromBfloat, toBfloat],
    ] as const) {
      const value = from(bits)
      if (Number.isNaN(value) ? !Number.isNaN(from(to(value))) : to(value) !== bits) {
        broken.push(`${name} ${bits.toString(16)}`)
      }
    }
  }
  expect(broken).toEqual([])
})

test.each([
  [0.1, 0x2e66],
  [65504, 0x7bff],
  [65519.996, 0x7bff],
  [65520, 0x7c00],
  [1e300, 0x7c00],
  [-Infinity, 0xfc00],
  [2 ** -24, 0x0001],
  [2 ** -25, 0x0000],
  [1.5 * 2 ** -25, 0x0001],
  [2 ** -14 - 2 ** -30, 0x0400],
  // Rounded once, not first to FP32.
  [1 + 2 ** -11 + 2 ** -40, 0x3c01],
  // Ties to even.
  [1 + 2 ** -11, 0x3c00],
  [1 + 3 * 2 ** -11, 0x3c02],
  [-0, 0x8000],
])('%d is %i in FP16', (value, bits) => {
  expect(toHalf(value)).toBe(bits)
})

test('BF16 rounds to the nearest value, ties to even', () => {
  expect([1 + 2 ** -8, 1 + 3 * 2 ** -8, 3.4e38, -1e-45].map(toBfloat)).toEqual([
    0x3f80, 0x3f82, 0x7f80, 0x8000,
  ])
})

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Histogram } from './histogram.ts'

test('counts each value in the first bucket whose bound is not less than the value', () => {
  const bounds = [0.1, 1, 10]
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.constantFrom(0, ...bounds), fc.double({ min: 0, max: 20, noNaN: true }))),
      (values) => {
        const histogram = new Histogram(bounds)
        for (const value of values) histogram.observe(value)
        const expected = [...bounds, Infinity].map((bound) => values.filter((value) => value <= bound).length)
        expect(histogram.cumulative()).toEqual(expected)
        expect(histogram.count).toBe(values.length)
        expect(histogram.sum).toBeCloseTo(values.reduce((total, value) => total + value, 0))
      },
    ),
  )
})

// Tests how the overhead of a call is learned from calls of different sizes.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { HoldLearner } from './hold-learner.ts'

const sizes = fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 60, maxLength: 100 })
const ms = (max: number) => fc.double({ min: 0, max, noNaN: true })

test('finds the overhead of a call, and holds a request at most that long', () => {
  fc.assert(
    fc.property(sizes, ms(50), ms(2), (calls, overheadMs, costMs) => {
      fc.pre(new Set(calls.slice(-30)).size > 5)
      const learner = new HoldLearner(10)
      for (const rows of calls) learner.called(rows, overheadMs + rows * costMs)
      expect(learner.overheadMs).toBeCloseTo(overheadMs, 3)
      const heldMs = learner.holdMs()
      expect(heldMs).toBeLessThanOrEqual(Math.min(10, learner.overheadMs))
      expect(heldMs).toBeGreaterThanOrEqual(Math.min(10, overheadMs) - 1.1)
    }),
  )
})

test('follows a model that becomes faster', () => {
  const learner = new HoldLearner(10)
  for (let call = 0; call < 100; call += 1) learner.called(1 + (call % 8), 100)
  expect(learner.holdMs()).toBe(10)
  for (let call = 0; call < 300; call += 1) learner.called(1 + (call % 8), 1 + (call % 8))
  expect(learner.holdMs()).toBe(0)
})

test('tries the longest hold while the overhead is unknown', () => {
  expect(new HoldLearner(10).holdMs()).toBe(10)
})

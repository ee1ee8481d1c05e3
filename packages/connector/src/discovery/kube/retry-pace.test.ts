// Tests the waits between attempts.
import { expect, test } from 'vitest'
import { PACE, RetryPace } from './retry-pace.ts'

test('doubles the upper limit of the wait up to the maximum, until there is progress', () => {
  const pace = new RetryPace(PACE, () => 1)
  expect(Array.from({ length: 8 }, () => pace.failed())).toEqual([
    200, 400, 800, 1600, 3200, 6400, 10_000, 10_000,
  ])
  expect(pace.failures).toBe(8)
  pace.progress()
  expect(pace.failed()).toBe(200)
  for (let each = 0; each < 2_000; each += 1) expect(pace.failed()).toBeLessThanOrEqual(10_000)
})

test('chooses any wait up to the limit, and at least the one that the API server asks for', () => {
  const pace = new RetryPace(PACE, () => 0.25)
  expect(pace.failed()).toBe(50)
  expect(pace.failed(5_000)).toBe(5_100)
  expect(pace.failed(3_600_000)).toBe(60_200)
})

test('waits at least half of the slow wait', () => {
  expect(new RetryPace(PACE, () => 0).slow()).toBe(15_000)
  expect(new RetryPace(PACE, () => 1).slow()).toBe(30_000)
})

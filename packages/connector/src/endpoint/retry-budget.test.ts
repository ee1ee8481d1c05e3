import fc from 'fast-check'
import { expect, test } from 'vitest'
import { RetryBudget } from './retry-budget.ts'

const BURST_MAX = 30

function spendAll(budget: RetryBudget, nowMs: number): number {
  let count = 0
  while (budget.spend(nowMs)) count += 1
  return count
}

test('starts empty, and fills at a rate of three retries per second', () => {
  const budget = new RetryBudget(BURST_MAX, 1_000)
  expect(budget.spend(1_000)).toBe(false)
  expect(spendAll(budget, 2_000)).toBe(3)
  expect(spendAll(budget, 3_000)).toBe(3)
})

test('ten requests earn one retry', () => {
  const budget = new RetryBudget(BURST_MAX, 0)
  for (let count = 0; count < 25; count += 1) budget.earn()
  expect(spendAll(budget, 0)).toBe(2)
})

test('accumulates at most burstMax retries, even after a long idle time', () => {
  const budget = new RetryBudget(BURST_MAX, 0)
  for (let count = 0; count < 10_000; count += 1) budget.earn()
  expect(spendAll(budget, 3_600_000)).toBe(BURST_MAX)
})

test('never allows more retries than 10 % of the requests plus 3 per second', () => {
  const step = fc.record({ requests: fc.nat(200), failures: fc.nat(200), pauseMs: fc.nat(5_000) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 50 }), (steps) => {
      const budget = new RetryBudget(BURST_MAX, 0)
      let [requests, retries, nowMs] = [0, 0, 0]
      for (const { requests: more, failures, pauseMs } of steps) {
        nowMs += pauseMs
        requests += more
        for (let count = 0; count < more; count += 1) budget.earn()
        for (let count = 0; count < failures; count += 1) retries += Number(budget.spend(nowMs))
        expect(retries).toBeLessThanOrEqual(requests / 10 + (nowMs / 1000) * 3 + 1e-6)
      }
    }),
  )
})

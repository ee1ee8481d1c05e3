import fc from 'fast-check'
import { expect, test } from 'vitest'
import { RateBuckets, type Rate } from './rate-buckets.ts'

const rateOf = (requestsPerSecond: number, burst: number, name = 'rule'): Rate => ({
  name,
  requestsPerSecond,
  burst,
})

test('allows the burst at once, then one request per interval', () => {
  const buckets = new RateBuckets()
  const take = (nowMs: number): number => buckets.take(rateOf(10, 3), 'cam7', nowMs)
  expect([take(0), take(0), take(0), take(0)]).toEqual([0, 0, 0, 100])
  expect([take(40), take(100), take(100)]).toEqual([60, 0, 100])
  // After a pause, the whole burst is available again, but no more.
  expect([take(5_000), take(5_000), take(5_000), take(5_000)]).toEqual([0, 0, 0, 100])
})

test('counts each client and each rule separately', () => {
  const buckets = new RateBuckets()
  expect(buckets.take(rateOf(1, 1), 'a', 0)).toBe(0)
  expect(buckets.take(rateOf(1, 1), 'b', 0)).toBe(0)
  expect(buckets.take(rateOf(1, 1, 'other rule'), 'a', 0)).toBe(0)
  expect(buckets.take(rateOf(1, 1), 'a', 0)).toBe(1_000)
})

test('never admits more than a bucket of tokens would, and a refused request may come after the given wait', () => {
  const arrivals = fc.array(fc.integer({ min: 0, max: 400 }), { maxLength: 200 })
  fc.assert(
    fc.property(
      arrivals,
      fc.constantFrom(1, 2.5, 30, 1_000),
      fc.integer({ min: 1, max: 8 }),
      (gaps, perSecond, burst) => {
        const buckets = new RateBuckets()
        const rate = rateOf(perSecond, burst)
        let nowMs = 0
        let tokens = burst
        for (const gapMs of gaps) {
          nowMs += gapMs
          tokens = Math.min(burst, tokens + (gapMs / 1000) * perSecond)
          const waitMs = buckets.take(rate, 'a', nowMs)
          // The tolerance is for the rounding of the two ways of counting.
          if (waitMs === 0) {
            expect(tokens).toBeGreaterThan(1 - 1e-6)
            tokens -= 1
          } else {
            expect(tokens).toBeLessThan(1 + 1e-6)
            expect(Math.abs(waitMs - ((1 - tokens) / perSecond) * 1000)).toBeLessThan(1e-3)
          }
        }
      },
    ),
  )
})

test('keeps a bounded number of buckets, and drops full ones first', () => {
  const buckets = new RateBuckets()
  const slow = rateOf(0.001, 1, 'slow')
  expect(buckets.take(slow, 'kept', 0)).toBe(0)
  for (let index = 0; index < 49_999; index++) buckets.take(rateOf(1_000, 1, 'fast'), `client-${index}`, 0)
  expect(buckets.size).toBe(50_000)
  expect(buckets.take(slow, 'late', 10)).toBe(0)
  expect(buckets.size).toBe(2)
  expect(buckets.take(slow, 'kept', 10)).toBeGreaterThan(0)
})

test('without full buckets, drops the oldest half', () => {
  const buckets = new RateBuckets()
  const slow = rateOf(0.001, 1)
  for (let index = 0; index < 120_000; index++) {
    if (buckets.take(slow, `client-${index}`, 0) !== 0) expect.fail(`client ${index}`)
    if (buckets.size > 50_000) expect.fail(`${buckets.size} buckets`)
  }
  expect(buckets.take(slow, 'client-119999', 0)).toBeGreaterThan(0)
  expect(buckets.take(slow, 'client-0', 0)).toBe(0)
})

test('a bucket does not keep the topic of a request in memory', () => {
  // The names are views of long texts, as the levels of a topic are.
  const buckets = new RateBuckets()
  const before = process.memoryUsage().heapUsed
  for (let index = 0; index < 9_000; index++) {
    const topic = `a-client-with-a-long-name-${index}/${'x'.repeat(8_000)}${index}`
    buckets.take(rateOf(1, 10), topic.split('/')[0]!, 0)
  }
  // The texts together have 72 MB.
  expect((process.memoryUsage().heapUsed - before) / 1e6).toBeLessThan(40)
})

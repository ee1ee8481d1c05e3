import { expect, test } from 'vitest'
import { ClientLimits } from './client-limits.ts'

test('a client has at most so many requests under way; others are not touched', () => {
  const limits = new ClientLimits({ inFlightMax: 2 })
  limits.enter('a', 0)
  limits.enter('a', 0)
  expect(() => limits.enter('a', 0)).toThrow(
    expect.objectContaining({ code: 'overloaded', retryAfterMs: 500 }) as Error,
  )
  limits.enter('b', 0)
  limits.leave('a')
  limits.enter('a', 0)
})

test('clients that have nothing under way are forgotten', () => {
  const limits = new ClientLimits({ inFlightMax: 2 })
  for (let index = 0; index < 1_000; index++) {
    limits.enter(`client-${index}`, 0)
    limits.leave(`client-${index}`)
  }
  expect(limits.size).toBe(0)
})

test('a rate lets a second of requests through at once, then as many as it says, and tells when to come again', () => {
  const limits = new ClientLimits({ inFlightMax: 100, requestsPerSecond: 10 })
  const ask = (nowMs: number): string => {
    try {
      limits.enter('a', nowMs)
      limits.leave('a')
      return 'ok'
    } catch (error) {
      return String((error as { retryAfterMs?: number }).retryAfterMs)
    }
  }
  expect(Array.from({ length: 12 }, () => ask(0))).toEqual([...Array(10).fill('ok'), '100', '100'])
  expect([ask(50), ask(100), ask(100)]).toEqual(['50', 'ok', '100'])
  expect(Array.from({ length: 11 }, () => ask(60_000)).filter((answer) => answer === 'ok')).toHaveLength(10)
})

test('a rate below one a second still lets one through', () => {
  const limits = new ClientLimits({ inFlightMax: 100, requestsPerSecond: 0.5 })
  limits.enter('a', 0)
  expect(() => limits.enter('a', 1_000)).toThrow('0.5 times a second')
  limits.enter('a', 2_000)
})

test('with a rate, a flood of client names does not stay in memory', () => {
  const limits = new ClientLimits({ inFlightMax: 100, requestsPerSecond: 10 })
  for (let index = 0; index < 50_000; index++) {
    limits.enter(`client-${index}`, 0)
    limits.leave(`client-${index}`)
  }
  expect(limits.size).toBeLessThanOrEqual(10_001)
})

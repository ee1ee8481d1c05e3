// Two connectors with one client id, on a broker that tells neither: each lives as long as the other stays away.
import { expect, test } from 'vitest'
import { Rivalry } from './rivalry.ts'

// How many times one takes over from the other, when each comes back after its pause (100 ms where it has none).
function takeoversWithin(limitMs: number): number {
  const pair = [new Rivalry(), new Rivalry()]
  let takeovers = 0
  // The first was alone for a minute before the second came.
  let lastedMs = 60_000
  for (let timeMs = 0; timeMs <= limitMs; takeovers += 1) {
    const pauseMs = pair[takeovers % 2]!.ended(lastedMs, true) || 100
    timeMs += pauseMs
    lastedMs = pauseMs
  }
  return takeovers
}

test('two with one client id take over at most 12 times in a minute, and ever less', () => {
  expect(takeoversWithin(60_000)).toBeLessThanOrEqual(12)
  expect(takeoversWithin(600_000) - takeoversWithin(60_000)).toBeLessThanOrEqual(20)
})

test('a broker that restarts, and refuses for a moment, is nobody that takes over', () => {
  const rivalry = new Rivalry()
  for (let restart = 0; restart < 50; restart++) {
    expect(rivalry.ended(100, true)).toBe(0)
    expect(rivalry.ended(undefined, false)).toBe(undefined)
  }
})

test('a connection that does its work for a while clears the suspicion', () => {
  const rivalry = new Rivalry()
  for (let count = 0; count < 50; count++) expect(rivalry.ended(6_000, true)).toBe(undefined)
  expect([1, 2, 3, 4, 5, 6].map(() => rivalry.ended(50, true))).toEqual([0, 0, 4_000, 16_000, 30_000, 30_000])
  expect(rivalry.inARow).toBe(6)
  expect(rivalry.ended(60_000, true)).toBe(undefined)
  expect(rivalry.inARow).toBe(0)
})

test('a network that resets connections is nobody that takes over', () => {
  const rivalry = new Rivalry()
  for (let count = 0; count < 50; count++) expect(rivalry.ended(50, false)).toBe(undefined)
})

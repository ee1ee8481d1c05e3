// Simulates two connectors with the same client identifier, on a broker that gives no reason when it closes
// a connection.
// Each connector is connected while the other connector waits.
import { expect, test } from 'vitest'
import { Rivalry } from './rivalry.ts'

// Returns the number of takeovers within `limitMs` if each connector reconnects after its pause, or after 100 ms if
// there is no pause.
function takeoversWithin(limitMs: number): number {
  const pair = [new Rivalry(), new Rivalry()]
  let takeovers = 0
  // The first connector had been running alone for a minute before the second one started.
  let lastedMs = 60_000
  for (let timeMs = 0; timeMs <= limitMs; takeovers += 1) {
    const pauseMs = pair[takeovers % 2]!.ended(lastedMs, true) || 100
    timeMs += pauseMs
    lastedMs = pauseMs
  }
  return takeovers
}

test('limits two connectors with the same client identifier to 12 takeovers in the first minute, and to fewer afterwards', () => {
  expect(takeoversWithin(60_000)).toBeLessThanOrEqual(12)
  expect(takeoversWithin(600_000) - takeoversWithin(60_000)).toBeLessThanOrEqual(20)
})

test('does not suspect a rival when a broker restarts and refuses connections for a moment', () => {
  const rivalry = new Rivalry()
  for (let restart = 0; restart < 50; restart++) {
    expect(rivalry.ended(100, true)).toBe(0)
    expect(rivalry.ended(undefined, false)).toBe(undefined)
  }
})

test('clears the suspicion after a connection that lasted long enough', () => {
  const rivalry = new Rivalry()
  for (let count = 0; count < 50; count++) expect(rivalry.ended(6_000, true)).toBe(undefined)
  expect([1, 2, 3, 4, 5, 6].map(() => rivalry.ended(50, true))).toEqual([0, 0, 4_000, 16_000, 30_000, 30_000])
  expect(rivalry.inARow).toBe(6)
  expect(rivalry.ended(60_000, true)).toBe(undefined)
  expect(rivalry.inARow).toBe(0)
})

test('does not suspect a rival when the network resets connections', () => {
  const rivalry = new Rivalry()
  for (let count = 0; count < 50; count++) expect(rivalry.ended(50, false)).toBe(undefined)
})

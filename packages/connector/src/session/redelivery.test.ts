import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Redelivery } from './redelivery.ts'

let redelivery: Redelivery

beforeEach(() => {
  vi.useFakeTimers()
  redelivery = new Redelivery()
})
afterEach(() => vi.useRealTimers())

test('expects no redelivery before a connection is lost', () => {
  redelivery.connected(true)
  expect(redelivery.pending).toBeUndefined()
})

test('waits for redeliveries when the broker has kept the session', async () => {
  redelivery.disconnected()
  const { pending } = redelivery
  redelivery.connected(true)
  vi.advanceTimersByTime(1_999)
  expect(redelivery.pending).toBe(pending)
  vi.advanceTimersByTime(1)
  expect(redelivery.pending).toBeUndefined()
  await pending
})

test('expects no redelivery in a session that the broker discarded', async () => {
  redelivery.disconnected()
  const { pending } = redelivery
  redelivery.connected(false)
  expect(redelivery.pending).toBeUndefined()
  await pending
})

test('restarts the wait for redeliveries when the connection is lost again', () => {
  redelivery.disconnected()
  redelivery.connected(true)
  vi.advanceTimersByTime(1_500)
  redelivery.disconnected()
  vi.advanceTimersByTime(60_000)
  expect(redelivery.pending).toBeDefined()
})

test('on close, ends the wait for redeliveries, and never waits again', async () => {
  redelivery.disconnected()
  const { pending } = redelivery
  redelivery.close()
  redelivery.disconnected()
  expect(redelivery.pending).toBeUndefined()
  await pending
})

test('without a connection, waits for redeliveries only up to the time limit', async () => {
  redelivery = new Redelivery(5_000)
  redelivery.disconnected()
  const { pending } = redelivery
  vi.advanceTimersByTime(4_000)
  redelivery.disconnected()
  expect(redelivery.pending).toBe(pending)
  vi.advanceTimersByTime(1_000)
  expect(redelivery.pending).toBeUndefined()
  await pending
  // Another failed attempt does not start a new wait.
  redelivery.disconnected()
  expect(redelivery.pending).toBeUndefined()
})

import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Redelivery } from './redelivery.ts'

let redelivery: Redelivery

beforeEach(() => {
  vi.useFakeTimers()
  redelivery = new Redelivery()
})
afterEach(() => vi.useRealTimers())

test('nothing is expected before a connection was lost', () => {
  redelivery.connected(true)
  expect(redelivery.pending).toBeUndefined()
})

test('a session that the broker kept is given time to redeliver', async () => {
  redelivery.disconnected()
  const { pending } = redelivery
  redelivery.connected(true)
  vi.advanceTimersByTime(1_999)
  expect(redelivery.pending).toBe(pending)
  vi.advanceTimersByTime(1)
  expect(redelivery.pending).toBeUndefined()
  await pending
})

test('a session that the broker forgot redelivers nothing', async () => {
  redelivery.disconnected()
  const { pending } = redelivery
  redelivery.connected(false)
  expect(redelivery.pending).toBeUndefined()
  await pending
})

test('a connection that is lost again begins the time anew', () => {
  redelivery.disconnected()
  redelivery.connected(true)
  vi.advanceTimersByTime(1_500)
  redelivery.disconnected()
  vi.advanceTimersByTime(60_000)
  expect(redelivery.pending).toBeDefined()
})

test('closing ends the wait for good', async () => {
  redelivery.disconnected()
  const { pending } = redelivery
  redelivery.close()
  redelivery.disconnected()
  expect(redelivery.pending).toBeUndefined()
  await pending
})

test('without a new connection it is waited for as long as was said', async () => {
  redelivery = new Redelivery(5_000)
  redelivery.disconnected()
  const { pending } = redelivery
  vi.advanceTimersByTime(4_000)
  redelivery.disconnected()
  expect(redelivery.pending).toBe(pending)
  vi.advanceTimersByTime(1_000)
  expect(redelivery.pending).toBeUndefined()
  await pending
  // A further attempt that fails is no news.
  redelivery.disconnected()
  expect(redelivery.pending).toBeUndefined()
})

import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { watchConnection } from './connection-watch.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

test('reports each loss of a second or more once, and reports no loss after the work has ended', async () => {
  let isConnected = true
  let reports = 0
  let finish!: (text: string) => void
  const work = new Promise<string>((resolve) => (finish = resolve))
  const watched = watchConnection(
    () => isConnected,
    () => (reports += 1),
    () => work,
  )
  vi.advanceTimersByTime(5_000)
  isConnected = false
  vi.advanceTimersByTime(750)
  expect(reports).toBe(0)
  vi.advanceTimersByTime(10_000)
  expect(reports).toBe(1)
  isConnected = true
  vi.advanceTimersByTime(250)
  isConnected = false
  vi.advanceTimersByTime(2_000)
  expect(reports).toBe(2)
  isConnected = true
  vi.advanceTimersByTime(250)
  finish('answer')
  expect(await watched).toBe('answer')
  isConnected = false
  vi.advanceTimersByTime(5_000)
  expect(reports).toBe(2)
})

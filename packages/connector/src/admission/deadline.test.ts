import { Problem } from '@inferwire/protocol'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { budgetMs, RequestDeadline } from './deadline.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

test('tells who waits when the time is up, counted from the receipt', () => {
  const deadline = new RequestDeadline(1_000, 500, 1_200)
  const told: Problem[] = []
  deadline.waiting = (problem) => told.push(problem)
  expect(deadline.atMs).toBe(1_500)
  vi.advanceTimersByTime(299)
  expect(told).toEqual([])
  vi.advanceTimersByTime(1)
  expect(told).toHaveLength(1)
  expect(told[0]).toMatchObject({ code: 'deadline_exceeded', status: 504 })
  expect(told[0]!.message).toBe('The request was not answered within 500 ms.')
  expect(deadline.problem).toBe(told[0])
})

test('only the last one that waits is told, and once', () => {
  const deadline = new RequestDeadline(0, 100, 0)
  const told: string[] = []
  deadline.waiting = () => told.push('queue')
  deadline.waiting = () => told.push('socket')
  vi.advanceTimersByTime(100)
  deadline.stop(new Problem('cancelled', 'x'))
  expect(told).toEqual(['socket'])
  expect(deadline.problem!.code).toBe('deadline_exceeded')
})

test('a stop tells at once, and the time that passes afterwards changes nothing', () => {
  const deadline = new RequestDeadline(0, 100, 0)
  const told: string[] = []
  deadline.waiting = ({ code }) => told.push(code)
  deadline.stop(new Problem('cancelled', 'x'))
  vi.advanceTimersByTime(1_000)
  expect(told).toEqual(['cancelled'])
  expect(deadline.problem!.code).toBe('cancelled')
})

test('a request that is over leaves no timer', () => {
  const deadline = new RequestDeadline(0, 100, 0)
  deadline.end()
  expect(vi.getTimerCount()).toBe(0)
  expect(deadline.problem).toBeUndefined()
})

test('a request whose time is up when it comes is stopped before anything is called', () => {
  const deadline = new RequestDeadline(1_000, 0, 1_000)
  expect(deadline.problem).toMatchObject({ code: 'deadline_exceeded' })
  expect(vi.getTimerCount()).toBe(0)
})

test('the smallest of the three budgets counts', () => {
  expect(budgetMs({}, 30_000)).toBe(30_000)
  expect(budgetMs({ messageExpiryInterval: 5 }, 30_000)).toBe(5_000)
  expect(budgetMs({ messageExpiryInterval: 0 }, 30_000)).toBe(0)
  expect(budgetMs({ messageExpiryInterval: 60 }, 30_000)).toBe(30_000)
  expect(budgetMs({ messageExpiryInterval: 5, userProperties: ['timeout-ms', '250'] }, 30_000)).toBe(250)
  expect(budgetMs({ userProperties: ['timeout-ms', '999999999'] }, 30_000)).toBe(30_000)
})

test.each(['0', '000', '-1', '1.5', '1e3', ' 1', '', 'soon', '9999999999', '٣'])(
  'a timeout-ms of %j is bad_payload',
  (text) => {
    expect(() => budgetMs({ userProperties: ['timeout-ms', text] }, 30_000)).toThrow(
      expect.objectContaining({ code: 'bad_payload' }) as Error,
    )
  },
)

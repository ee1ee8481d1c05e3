import { Problem, type MessageProperties } from '@inferwire/protocol'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { clientBudgetMs, RequestDeadline } from './deadline.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

test('calls the `waiting` callback at the deadline, which is counted from the arrival of the request', () => {
  const deadline = new RequestDeadline(1_000, 500, 1_200)
  const reported: Problem[] = []
  deadline.waiting = (problem) => reported.push(problem)
  expect(deadline.atMs).toBe(1_500)
  vi.advanceTimersByTime(299)
  expect(reported).toEqual([])
  vi.advanceTimersByTime(1)
  expect(reported).toHaveLength(1)
  expect(reported[0]).toMatchObject({ code: 'deadline_exceeded', status: 504 })
  expect(reported[0]!.message).toBe('The request was not answered within 500 ms.')
  expect(deadline.problem).toBe(reported[0])
})

test('calls only the `waiting` callback that was set last, and only once', () => {
  const deadline = new RequestDeadline(0, 100, 0)
  const reported: string[] = []
  deadline.waiting = () => reported.push('queue')
  deadline.waiting = () => reported.push('socket')
  vi.advanceTimersByTime(100)
  deadline.stop(new Problem('cancelled', 'x'))
  expect(reported).toEqual(['socket'])
  expect(deadline.problem!.code).toBe('deadline_exceeded')
})

test('calls the `waiting` callback at once on stop, and not again at the deadline', () => {
  const deadline = new RequestDeadline(0, 100, 0)
  const reported: string[] = []
  deadline.waiting = ({ code }) => reported.push(code)
  deadline.stop(new Problem('cancelled', 'x'))
  vi.advanceTimersByTime(1_000)
  expect(reported).toEqual(['cancelled'])
  expect(deadline.problem!.code).toBe('cancelled')
})

test('leaves no timer after the request has ended', () => {
  const deadline = new RequestDeadline(0, 100, 0)
  deadline.end()
  expect(vi.getTimerCount()).toBe(0)
  expect(deadline.problem).toBeUndefined()
})

test('a request that has already expired on arrival ends with deadline_exceeded, and no timer is started', () => {
  const deadline = new RequestDeadline(1_000, 0, 1_000)
  expect(deadline.problem).toMatchObject({ code: 'deadline_exceeded' })
  expect(vi.getTimerCount()).toBe(0)
})

function budgetMs(properties: MessageProperties): number {
  const deadline = new RequestDeadline(0, 30_000, 0, clientBudgetMs(properties))
  deadline.end()
  return deadline.atMs
}

test("uses the smallest of the Message Expiry Interval, `timeout-ms` and the model's timeout", () => {
  expect(budgetMs({})).toBe(30_000)
  expect(budgetMs({ messageExpiryInterval: 5 })).toBe(5_000)
  expect(budgetMs({ messageExpiryInterval: 0 })).toBe(0)
  expect(budgetMs({ messageExpiryInterval: 60 })).toBe(30_000)
  expect(budgetMs({ messageExpiryInterval: 5, userProperties: ['timeout-ms', '250'] })).toBe(250)
  expect(budgetMs({ userProperties: ['timeout-ms', '999999999'] })).toBe(30_000)
})

test("a stream may take longer than the model's timeout, but not longer than the client's own deadline", () => {
  const nowMs = performance.now()
  const long = new RequestDeadline(nowMs, 100, nowMs)
  const short = new RequestDeadline(nowMs, 100, nowMs, 500)
  for (const deadline of [long, short]) deadline.extend(1_000)
  vi.advanceTimersByTime(499)
  expect([long.problem, short.problem]).toEqual([undefined, undefined])
  vi.advanceTimersByTime(1)
  expect(short.problem).toMatchObject({ message: 'The request was not answered within 500 ms.' })
  expect(long.problem).toBeUndefined()
  vi.advanceTimersByTime(500)
  expect(long.problem).toMatchObject({ message: 'The stream did not end within 1000 ms.' })
})

test('a deadline that has passed is not extended', () => {
  const deadline = new RequestDeadline(0, 100, 0)
  vi.advanceTimersByTime(100)
  deadline.extend(10_000)
  expect(vi.getTimerCount()).toBe(0)
  expect(deadline.problem).toMatchObject({ code: 'deadline_exceeded' })
})

test.each(['0', '000', '-1', '1.5', '1e3', ' 1', '', 'soon', '9999999999', '٣'])(
  'rejects a timeout-ms of %j as bad_payload',
  (text) => {
    expect(() => clientBudgetMs({ userProperties: ['timeout-ms', text] })).toThrow(
      expect.objectContaining({ code: 'bad_payload' }) as Error,
    )
  },
)

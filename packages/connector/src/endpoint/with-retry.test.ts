// Tests whether, when and how often a failed call is retried. The clock and the endpoint's errors are simulated.
import { Problem } from '@inferwire/protocol'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { RequestDeadline } from '../admission/index.ts'
import type { Endpoint, EndpointRequest, EndpointResponse } from '../step.ts'
import { UpstreamFigures } from '../telemetry/index.ts'
import { RetryBudget } from './retry-budget.ts'
import { UpstreamFailure, type FailureSign } from './upstream-failure.ts'
import { withRetry, type RetryOptions } from './with-retry.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const ANSWER: EndpointResponse = {
  status: 200,
  body: Buffer.from('{}'),
  contentType: 'application/json',
  inferenceHeaderContentLength: undefined,
}

function failure(sign: FailureSign, maybeExecuted = false, retryAfterMs?: number): UpstreamFailure {
  const options = retryAfterMs === undefined ? {} : { retryAfterMs }
  return new UpstreamFailure(sign, maybeExecuted, 'upstream_unreachable', sign, options)
}

interface Trial {
  readonly outcome: Promise<unknown>
  readonly figures: UpstreamFigures
  /** Times of the calls to the server, in milliseconds since the start. */
  readonly calledAtMs: number[]
  readonly deadline: RequestDeadline
}

// The server fails with each of these errors in turn, then succeeds. `random` is 1, so each wait is of maximum length.
function ask(
  failures: readonly Error[],
  overrides: Partial<RetryOptions> = {},
  budgetMs = 30_000,
  answer = ANSWER,
): Trial {
  const startedAtMs = performance.now()
  const calledAtMs: number[] = []
  const figures = new UpstreamFigures('iris')
  const left = [...failures]
  const inner: Endpoint = {
    call: () => {
      calledAtMs.push(Math.round(performance.now() - startedAtMs))
      const error = left.shift()
      return error === undefined ? Promise.resolve(answer) : Promise.reject(error)
    },
  }
  const deadline = new RequestDeadline(startedAtMs, budgetMs, startedAtMs)
  const endpoint = withRetry(inner, {
    attemptsMax: 3,
    minMs: 50,
    maxMs: 2_000,
    isRepeatable: true,
    budget: fullBudget(),
    figures,
    random: () => 1,
    ...overrides,
  })
  const outcome = endpoint.call({ deadline } as unknown as EndpointRequest).catch((error: unknown) => error)
  return { outcome, figures, calledAtMs, deadline }
}

function fullBudget(): RetryBudget {
  return new RetryBudget(30, performance.now() - 60_000)
}

async function settled<Value>(outcome: Promise<Value>): Promise<Value> {
  await vi.runAllTimersAsync()
  return outcome
}

test('retries a failed call, each time after a longer wait, until it succeeds', async () => {
  const { outcome, figures, calledAtMs } = ask([failure('unreachable'), failure('no-answer')])
  expect(await settled(outcome)).toBe(ANSWER)
  expect(calledAtMs).toEqual([0, 50, 150])
  expect(figures).toMatchObject({ retries: 2, deniedRetries: 0 })
})

test('does not report the body as sent, because a failed attempt may still be sending it', async () => {
  const sent: EndpointResponse = { ...ANSWER, isBodySent: true }
  expect(await settled(ask([], {}, 30_000, sent).outcome)).toMatchObject({ isBodySent: true })
  expect(await settled(ask([failure('busy')], {}, 30_000, sent).outcome)).toMatchObject({ isBodySent: false })
})

test('returns the error of the last attempt', async () => {
  const last = failure('no-answer')
  const { outcome, figures, calledAtMs } = ask([failure('unreachable'), failure('unreachable'), last])
  expect(await settled(outcome)).toBe(last)
  expect([calledAtMs.length, figures.retries, figures.deniedRetries]).toEqual([3, 2, 0])
})

test('waits for a random time, whose maximum doubles with each retry up to maxMs', async () => {
  const failures = Array.from({ length: 5 }, () => failure('unreachable'))
  const early = ask(failures, { attemptsMax: 6, random: () => 0 })
  expect(await settled(early.outcome)).toBe(ANSWER)
  expect(early.calledAtMs).toEqual([0, 0, 0, 0, 0, 0])
  const late = ask(failures, { attemptsMax: 6, maxMs: 120 })
  expect(await settled(late.outcome)).toBe(ANSWER)
  expect(late.calledAtMs).toEqual([0, 50, 150, 270, 390, 510])
})

test.each([
  ["a model's 400 and 500", new Problem('upstream_error', 'x', { status: 500 })],
  ['an invalid response', new Problem('upstream_invalid_response', 'x')],
  ['a rejected credential', new Problem('unauthorized_upstream', 'x')],
  ['an exceeded deadline', new Problem('deadline_exceeded', 'x')],
  ['a cancelled request', new Problem('cancelled', 'x')],
  ['a fault of the connector', new TypeError('x')],
  ['a server that is full and sends no Retry-After', failure('rejected', false, 1_000)],
])('does not retry %s', async (_what, error) => {
  const { outcome, calledAtMs, figures } = ask([error])
  expect(await settled(outcome)).toBe(error)
  expect([calledAtMs.length, figures.deniedRetries]).toEqual([1, 0])
})

test('retries a call that may have been executed only if the model is repeatable', async () => {
  const broken = failure('unreachable', true)
  const once = ask([broken], { isRepeatable: false })
  expect(await settled(once.outcome)).toBe(broken)
  const unsent = ask([failure('unreachable', false)], { isRepeatable: false })
  expect(await settled(unsent.outcome)).toBe(ANSWER)
  const twice = ask([broken], { isRepeatable: true })
  expect(await settled(twice.outcome)).toBe(ANSWER)
})

test('waits for the time in Retry-After plus jitter', async () => {
  const { outcome, calledAtMs } = ask([failure('busy', false, 1_000)])
  expect(await settled(outcome)).toBe(ANSWER)
  expect(calledAtMs).toEqual([0, 1_050])
})

test('passes a Retry-After above maxMs to the client', async () => {
  const busy = failure('busy', false, 2_001)
  const { outcome, calledAtMs } = ask([busy])
  expect(await settled(outcome)).toBe(busy)
  expect(calledAtMs).toEqual([0])
})

test('fails at once if the wait would exceed the deadline', async () => {
  const busy = failure('busy', false, 1_000)
  const { outcome, calledAtMs, figures } = ask([busy], {}, 1_000)
  expect(await outcome).toBe(busy)
  expect([calledAtMs.length, figures.deniedRetries]).toEqual([1, 0])
  const inTime = ask([busy], { random: () => 0 }, 1_001)
  expect(await settled(inTime.outcome)).toBe(ANSWER)
})

test('ends at once, without another call, if the request is cancelled during the wait', async () => {
  const { outcome, calledAtMs, deadline } = ask([failure('busy', false, 1_000)])
  await vi.advanceTimersByTimeAsync(10)
  const cancelled = new Problem('cancelled', 'x')
  deadline.stop(cancelled)
  expect(await outcome).toBe(cancelled)
  deadline.end()
  expect(vi.getTimerCount()).toBe(0)
  expect(calledAtMs).toEqual([0])
})

test('removes its deadline callback after the wait', async () => {
  const { outcome, deadline } = ask([failure('busy', false, 1_000)])
  await settled(outcome)
  expect(deadline.waiting).toBeUndefined()
})

test('fails at once if the retry budget is spent, and counts the denied retry', async () => {
  const budget = new RetryBudget(30, performance.now())
  const refused = failure('unreachable')
  const { outcome, figures } = ask([refused], { budget })
  expect(await outcome).toBe(refused)
  expect(figures).toMatchObject({ retries: 0, deniedRetries: 1 })
})

test('with attemptsMax 1, there is no retry', async () => {
  const refused = failure('unreachable')
  const { outcome, figures } = ask([refused], { attemptsMax: 1 })
  expect(await outcome).toBe(refused)
  expect(figures).toMatchObject({ retries: 0, deniedRetries: 0 })
})

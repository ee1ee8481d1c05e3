// Wraps an endpoint with retries: within the request's deadline and the server's retry budget, with jitter.
import { Problem } from '@inferwire/protocol'
import type { Deadline, Endpoint, EndpointRequest, EndpointResponse } from '../step.ts'
import type { UpstreamFigures } from '../telemetry/index.ts'
import { copyRequest } from './copy-request.ts'
import type { RetryBudget } from './retry-budget.ts'
import { UpstreamFailure } from './upstream-failure.ts'

/** When and how often a failed call is retried. */
export interface RetryOptions {
  /** Attempts for one request, including the first; 1 = no retries. */
  readonly attemptsMax: number
  /** Longest wait before the first retry; it doubles before each further retry. */
  readonly minMs: number
  /** Longest wait before any retry. If Retry-After is longer, there is no retry. */
  readonly maxMs: number
  /** Whether it is safe to run the model twice for one request. */
  readonly isRepeatable: boolean
  /** Shared by all operations of one model server. */
  readonly budget: RetryBudget
  readonly figures: UpstreamFigures
  /** Called with the error of each failed attempt that is retried. */
  readonly retrying?: (error: unknown) => void
  /** From 0 to 1. @default Math.random */
  readonly random?: () => number
}

/** Returns the first successful response of `inner`, or throws the error of the last attempt. */
export function withRetry(inner: Endpoint, options: RetryOptions): Endpoint {
  const { budget } = options
  return {
    call(request) {
      budget.earn()
      if (request.emit !== undefined) return callEmitting(inner, request, options)
      return inner.call(request).then(undefined, (error: unknown) => tryAgain(inner, request, error, options))
    },
  }
}

async function tryAgain(
  inner: Endpoint,
  request: EndpointRequest,
  first: unknown,
  options: RetryOptions,
  hasEmitted = (): boolean => false,
): Promise<EndpointResponse> {
  const { figures } = options
  let error = first
  for (let attempts = 1; ; attempts += 1) {
    noteRefusal(error, figures)
    const waitMs = hasEmitted() ? undefined : waitBefore(error, attempts, request.deadline, options)
    if (waitMs === undefined) throw error
    if (waitMs > 0) await pause(waitMs, request.deadline)
    figures.retries += 1
    options.retrying?.(error)
    try {
      const response = await inner.call(request)
      // The connections of the failed attempts may still be sending the body.
      return response.isBodySent === true ? { ...response, isBodySent: false } : response
    } catch (again) {
      error = again
    }
  }
}

function noteRefusal(error: unknown, figures: UpstreamFigures): void {
  if (error instanceof Problem && error.refusal !== undefined) figures.refused(error.refusal.name)
}

// Does not retry after the first part was emitted, because a retry would emit it twice.
function callEmitting(
  inner: Endpoint,
  request: EndpointRequest,
  options: RetryOptions,
): Promise<EndpointResponse> {
  let hasEmitted = false
  const watched = copyRequest(request, {
    emit: (part) => {
      hasEmitted = true
      request.emit?.(part)
    },
  })
  return inner
    .call(watched)
    .then(undefined, (error: unknown) => tryAgain(inner, watched, error, options, () => hasEmitted))
}

// Returns the wait in milliseconds before the next attempt; undefined if there is no further attempt.
function waitBefore(
  error: unknown,
  attempts: number,
  deadline: Deadline,
  options: RetryOptions,
): number | undefined {
  const { attemptsMax, isRepeatable, budget, figures } = options
  if (!(error instanceof UpstreamFailure) || attempts >= attemptsMax) return undefined
  if (error.retryOnceAfterMs !== undefined && attempts > 1) return undefined
  if (error.sign === 'rejected' || (error.maybeExecuted && !isRepeatable)) return undefined
  const waitMs = backOff(error, attempts, options)
  const nowMs = performance.now()
  // An attempt after the deadline would only delay the same error.
  if (waitMs === undefined || deadline.problem !== undefined || nowMs + waitMs >= deadline.atMs) {
    return undefined
  }
  if (budget.spend(nowMs)) return waitMs
  figures.deniedRetries += 1
  return undefined
}

// Uses full jitter, so that calls that failed together are not retried together. Jitter is added to a Retry-After, so
// that the wait is never shorter.
function backOff(failure: UpstreamFailure, attempts: number, options: RetryOptions): number | undefined {
  const { minMs, maxMs, random = Math.random } = options
  const { retryAfterMs, retryOnceAfterMs, backsOff } = failure
  if (retryOnceAfterMs !== undefined) return retryOnceAfterMs + random() * minMs
  if (retryAfterMs === undefined || backsOff) return random() * Math.min(maxMs, minMs * 2 ** (attempts - 1))
  return retryAfterMs > maxMs ? undefined : retryAfterMs + random() * minMs
}

/** @throws the deadline's problem if the deadline passes or the request is cancelled during the wait. */
function pause(waitMs: number, deadline: Deadline): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      deadline.waiting = undefined
      resolve()
    }, waitMs)
    deadline.waiting = (problem: Problem) => {
      clearTimeout(timer)
      reject(problem)
    }
  })
}

// Tries a failed call again where that is safe and useful: inside the deadline, inside a budget, not all at once.
import { Problem } from '@inferwire/protocol'
import type { Deadline, Endpoint, EndpointRequest, EndpointResponse } from '../step.ts'
import type { UpstreamFigures } from '../telemetry/index.ts'
import type { RetryBudget } from './retry-budget.ts'
import { UpstreamFailure } from './upstream-failure.ts'

/** How to try again. */
export interface RetryOptions {
  /** Tries of one request, the first included; 1 = none but the first. */
  readonly attemptsMax: number
  /** Longest wait before the second try; it doubles with each further one. */
  readonly minMs: number
  /** Longest wait before any try. A server that asks for more (Retry-After) gets no further try. */
  readonly maxMs: number
  /** Whether the model may run twice for one request. */
  readonly isRepeatable: boolean
  /** Shared by all operations of one model server. */
  readonly budget: RetryBudget
  readonly figures: UpstreamFigures
  /** Called with each failed try before it is tried again. */
  readonly retrying?: (error: unknown) => void
  /** From 0 to 1. @default Math.random */
  readonly random?: () => number
}

/** Answers as `inner` does in the end; when there is no further try, with the last failure. */
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
    const waitMs = hasEmitted() ? undefined : waitBefore(error, attempts, request.deadline, options)
    if (waitMs === undefined) throw error
    if (waitMs > 0) await pause(waitMs, request.deadline)
    figures.retries += 1
    options.retrying?.(error)
    try {
      return await inner.call(request)
    } catch (again) {
      error = again
    }
  }
}

// Once a part has left, another try would send it again.
function callEmitting(
  inner: Endpoint,
  request: EndpointRequest,
  options: RetryOptions,
): Promise<EndpointResponse> {
  let hasEmitted = false
  const watched: EndpointRequest = {
    ...request,
    emit: (part) => {
      hasEmitted = true
      request.emit?.(part)
    },
  }
  return inner
    .call(watched)
    .then(undefined, (error: unknown) => tryAgain(inner, watched, error, options, () => hasEmitted))
}

// Undefined = no further try.
function waitBefore(
  error: unknown,
  attempts: number,
  deadline: Deadline,
  options: RetryOptions,
): number | undefined {
  const { attemptsMax, isRepeatable, budget, figures } = options
  if (!(error instanceof UpstreamFailure) || attempts >= attemptsMax) return undefined
  if (error.sign === 'turned-away' || (error.maybeExecuted && !isRepeatable)) return undefined
  const waitMs = backOff(error, attempts, options)
  const nowMs = performance.now()
  // A try that cannot end in time would only keep the requester waiting for the same failure.
  if (waitMs === undefined || deadline.problem !== undefined || nowMs + waitMs >= deadline.atMs) {
    return undefined
  }
  if (budget.spend(nowMs)) return waitMs
  figures.deniedRetries += 1
  return undefined
}

// Full jitter: anywhere from now on, so that what failed together does not come back together. A Retry-After is kept,
// and the jitter comes on top.
function backOff(failure: UpstreamFailure, attempts: number, options: RetryOptions): number | undefined {
  const { minMs, maxMs, random = Math.random } = options
  const { retryAfterMs } = failure
  if (retryAfterMs === undefined) return random() * Math.min(maxMs, minMs * 2 ** (attempts - 1))
  return retryAfterMs > maxMs ? undefined : retryAfterMs + random() * minMs
}

/** @throws what the deadline says when it passes, or the request is stopped, while we wait. */
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

// The deadline of a request, which also stops a cancelled request.
import { Problem, PROPERTY, userProperty, type MessageProperties } from '@inferwire/protocol'
import type { Deadline } from '../step.ts'

/** A running deadline: `end` must be called when the request has ended. */
export class RequestDeadline implements Deadline {
  readonly atMs: number
  problem: Problem | undefined
  waiting: ((problem: Problem) => void) | undefined
  readonly #timer: NodeJS.Timeout | undefined

  constructor(receivedAtMs: number, budgetMs: number, nowMs: number) {
    this.atMs = receivedAtMs + budgetMs
    // An expired request is not executed; a timer would fire too late to prevent the execution.
    if (this.atMs <= nowMs) expire(this, budgetMs)
    // The delay is rounded up to whole milliseconds: with a fraction, Node.js does not find the timer list when it
    // clears the timer.
    else this.#timer = setTimeout(() => expire(this, budgetMs), Math.ceil(this.atMs - nowMs))
  }

  /** Stops the request: the `waiting` callback is called once. */
  stop(problem: Problem): void {
    if (this.problem !== undefined) return
    this.problem = problem
    const { waiting } = this
    this.waiting = undefined
    waiting?.(problem)
  }

  /** Clears the timer when the request has ended. */
  end(): void {
    clearTimeout(this.#timer)
    this.waiting = undefined
  }
}

function expire(deadline: RequestDeadline, budgetMs: number): void {
  deadline.stop(
    new Problem('deadline_exceeded', `The request was not answered within ${Math.round(budgetMs)} ms.`),
  )
}

/**
 * Returns the time budget of a request from its arrival, in milliseconds: the smallest of the Message Expiry Interval,
 * `timeout-ms` and the model's timeout.
 * @throws Problem `bad_payload` for a `timeout-ms` that is not a positive integer.
 */
export function budgetMs(properties: MessageProperties, modelTimeoutMs: number): number {
  let budget = modelTimeoutMs
  const { messageExpiryInterval, userProperties } = properties
  if (messageExpiryInterval !== undefined) budget = Math.min(budget, messageExpiryInterval * 1000)
  const timeoutMs = userProperty(userProperties, PROPERTY.timeoutMs)
  if (timeoutMs !== undefined) {
    if (!/^\d{1,9}$/.test(timeoutMs) || Number(timeoutMs) === 0) {
      throw new Problem(
        'bad_payload',
        'User property "timeout-ms" must be a whole number of milliseconds above 0.',
      )
    }
    budget = Math.min(budget, Number(timeoutMs))
  }
  return budget
}

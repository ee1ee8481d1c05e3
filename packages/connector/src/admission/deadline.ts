// When a request must be over, and the one way to stop it.
import { Problem, PROPERTY, userProperty, type MessageProperties } from '@inferwire/protocol'
import type { Deadline } from '../step.ts'

/** A running deadline: it must be ended when the request is over. */
export class RequestDeadline implements Deadline {
  readonly atMs: number
  problem: Problem | undefined
  waiting: ((problem: Problem) => void) | undefined
  readonly #timer: NodeJS.Timeout | undefined

  constructor(receivedAtMs: number, budgetMs: number, nowMs: number) {
    this.atMs = receivedAtMs + budgetMs
    // A timer would come too late: an expired request is not executed.
    if (this.atMs <= nowMs) expire(this, budgetMs)
    // In whole milliseconds: Node.js keeps a list for each length, and looks a fraction up in vain.
    else this.#timer = setTimeout(() => expire(this, budgetMs), Math.ceil(this.atMs - nowMs))
  }

  /** Stops the request: whoever waits for it is told once. */
  stop(problem: Problem): void {
    if (this.problem !== undefined) return
    this.problem = problem
    const { waiting } = this
    this.waiting = undefined
    waiting?.(problem)
  }

  /** The request is over; the timer must not fire any more. */
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
 * The time that a request has from its receipt, in milliseconds: the smallest of Message Expiry Interval,
 * `timeout-ms` and the model's own timeout.
 * @throws Problem `bad_payload` for a `timeout-ms` that is not a positive number.
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

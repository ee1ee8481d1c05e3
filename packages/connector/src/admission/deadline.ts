// The deadline of a request. The same object stops a request that is cancelled.
import { Problem, PROPERTY, userProperty, type MessageProperties } from '@inferwire/protocol'
import type { Deadline } from '../step.ts'

/** A running deadline: `end` must be called when the request has ended. */
export class RequestDeadline implements Deadline {
  atMs: number
  problem: Problem | undefined
  waiting: ((problem: Problem) => void) | undefined
  /** The time budget of the streamed answer, in milliseconds; undefined before its first part. */
  streamBudgetMs: number | undefined
  readonly #receivedAtMs: number
  readonly #clientBudgetMs: number
  #timer: NodeJS.Timeout | undefined

  /**
   * Ends after the smaller of the two budgets. Both are in milliseconds from the receipt of the request; the client's
   * budget also limits `extend`.
   */
  constructor(receivedAtMs: number, timeoutMs: number, nowMs: number, clientBudgetMs = Infinity) {
    const budgetMs = Math.min(timeoutMs, clientBudgetMs)
    this.atMs = receivedAtMs + budgetMs
    this.#receivedAtMs = receivedAtMs
    this.#clientBudgetMs = clientBudgetMs
    // An expired request is not executed; a timer would fire too late to prevent the execution.
    if (this.atMs <= nowMs) stop(this, notAnswered(budgetMs))
    else this.#timer = stopLater(this, notAnswered(budgetMs), nowMs)
  }

  /** Replaces the model's timeout with `budgetMs`, counted from now. */
  extend(budgetMs: number): void {
    if (this.problem !== undefined) return
    this.streamBudgetMs = budgetMs
    clearTimeout(this.#timer)
    const nowMs = performance.now()
    const clientAtMs = this.#receivedAtMs + this.#clientBudgetMs
    this.atMs = Math.min(nowMs + budgetMs, clientAtMs)
    const sentence =
      this.atMs === clientAtMs
        ? notAnswered(this.#clientBudgetMs)
        : `The stream did not end within ${budgetMs} ms.`
    this.#timer = stopLater(this, sentence, nowMs)
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

function stopLater(deadline: RequestDeadline, sentence: string, nowMs: number): NodeJS.Timeout {
  // The delay is rounded up to whole milliseconds: if it has a fraction, Node.js does not find the timer list when it
  // clears the timer.
  return setTimeout(() => stop(deadline, sentence), Math.max(0, Math.ceil(deadline.atMs - nowMs)))
}

function stop(deadline: RequestDeadline, sentence: string): void {
  deadline.stop(new Problem('deadline_exceeded', sentence))
}

function notAnswered(budgetMs: number): string {
  return `The request was not answered within ${Math.round(budgetMs)} ms.`
}

/**
 * Returns the client's own time budget from the arrival of its request, in milliseconds: the smaller of the Message
 * Expiry Interval and `timeout-ms`; `Infinity` if the request sets neither.
 * @throws Problem `bad_payload` for a `timeout-ms` that is not a positive integer.
 */
export function clientBudgetMs(properties: MessageProperties): number {
  let budget = Infinity
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

// Runs the calls of one model one after the other.
import { Failure } from './failure.ts'

/** Maximum number of queued calls of a model; further calls receive 503. */
export const RUNS_WAITING_MAX = 1024

/** Runs calls one after the other, in order of arrival. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve()
  #waiting = 0

  async take<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    if (signal !== undefined && this.#waiting >= RUNS_WAITING_MAX) {
      throw Failure.error(503, `The model has ${this.#waiting} requests waiting; try again later.`)
    }
    this.#waiting++
    const turn = this.#last.then(async () => {
      this.#waiting--
      // The client no longer waits for the answer: its connection is closed.
      signal?.throwIfAborted()
      return work()
    })
    this.#last = turn.catch(() => undefined)
    return turn
  }
}

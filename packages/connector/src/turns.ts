// Limits how many metadata queries run at once, so that a thousand models can start together.

/** Gives turns in the order of the calls. As many calls wait as there are models, because each has one at a time. */
export class Turns {
  #free: number
  readonly #waiting: (() => void)[] = []

  /** @param turnsMax number of calls that run at once */
  constructor(turnsMax: number) {
    this.#free = turnsMax
  }

  /** Runs the work when it has its turn. @throws the reason of `signal` if it was aborted before */
  async take<Result>(signal: AbortSignal, work: () => Promise<Result>): Promise<Result> {
    if (this.#free > 0) this.#free -= 1
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    try {
      signal.throwIfAborted()
      return await work()
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#free += 1
      else next()
    }
  }
}

// The time limits of a streamed answer, for any transport.
import type { Problem } from '@inferwire/protocol'
import type { Deadline } from '../step.ts'
import { streamInterrupted } from './stream-end.ts'

/** Limits of streamed answers; `models.*.stream` in the configuration. */
export interface StreamLimits {
  /** Longest time between two parts, in milliseconds. */
  readonly idleTimeoutMs: number
  /** Longest time from the first part to the end of the stream, in milliseconds. */
  readonly timeoutMs: number
  /** How long deltas may be collected into one part, in milliseconds; 0 = each delta is a part. */
  readonly coalesceMs: number
}

/**
 * Starts with the first part, because the request's deadline limits the wait for it. From then on, `timeoutMs` replaces
 * the model's timeout in the deadline.
 */
export class StreamClock {
  readonly #limits: StreamLimits
  readonly #deadline: Deadline
  readonly #fail: (problem: Problem) => void
  #idle: NodeJS.Timeout | undefined

  /** @param fail ends the call with a problem */
  constructor(limits: StreamLimits, deadline: Deadline, fail: (problem: Problem) => void) {
    this.#limits = limits
    this.#deadline = deadline
    this.#fail = fail
  }

  /** Records that a part has arrived. */
  part(): void {
    if (this.#idle !== undefined) {
      this.#idle.refresh()
      return
    }
    const { idleTimeoutMs, timeoutMs } = this.#limits
    this.#deadline.extend?.(timeoutMs)
    this.#idle = setTimeout(() => {
      const sentence = `The model server sent no part of the stream for ${idleTimeoutMs} ms.`
      this.#fail(streamInterrupted(sentence, 'To allow longer pauses, raise models.*.stream.idleTimeoutMs.'))
    }, idleTimeoutMs)
  }

  /** Stops the clock. Must be called when the call has ended. */
  end(): void {
    clearTimeout(this.#idle)
  }
}

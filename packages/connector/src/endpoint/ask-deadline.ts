// The deadline of a metadata query.
import type { Problem } from '@inferwire/protocol'
import type { Deadline } from '../step.ts'
import { UpstreamFailure } from './upstream-failure.ts'

const ASK_TIMEOUT_MS = 5_000

/** A deadline that passes after 5 s, or when the signal is aborted. `end` must be called after the query. */
export class AskDeadline implements Deadline {
  readonly atMs = performance.now() + ASK_TIMEOUT_MS
  problem: Problem | undefined
  waiting: ((problem: Problem) => void) | undefined
  readonly #address: string
  readonly #signal: AbortSignal
  readonly #timer: NodeJS.Timeout
  readonly #stop = (): void => this.#pass('the query was cancelled')

  constructor(address: string, signal: AbortSignal) {
    this.#address = address
    this.#signal = signal
    this.#timer = setTimeout(() => this.#pass(`no response for ${ASK_TIMEOUT_MS} ms`), ASK_TIMEOUT_MS)
    signal.addEventListener('abort', this.#stop)
    if (signal.aborted) this.#stop()
  }

  /** Releases the timer and the signal. */
  end(): void {
    clearTimeout(this.#timer)
    this.#signal.removeEventListener('abort', this.#stop)
  }

  #pass(why: string): void {
    const sentence = 'The model server does not answer.'
    const detail = `${this.#address}: ${why}`
    this.problem = new UpstreamFailure('unreachable', false, 'upstream_unreachable', sentence, { detail })
    this.waiting?.(this.problem)
  }
}

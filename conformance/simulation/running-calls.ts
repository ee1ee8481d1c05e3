// Counts the calls in progress of one process. A call may be shared by several requests, which end separately.
import type { ModelName } from './scenario.ts'

/** The calls in progress. */
export class RunningCalls {
  // For each model: the number of unfinished requests, by call number.
  readonly #requests: Readonly<Record<ModelName, Map<number, number>>> = { m: new Map(), batched: new Map() }

  /** Records that a request has joined a call. Returns how many of the model's calls are in progress. */
  began(model: ModelName, call: number): number {
    const requests = this.#requests[model]
    requests.set(call, (requests.get(call) ?? 0) + 1)
    return requests.size
  }

  /** Records that a request of a call has ended. */
  ended(model: ModelName, call: number): void {
    const requests = this.#requests[model]
    const others = requests.get(call)! - 1
    if (others === 0) requests.delete(call)
    else requests.set(call, others)
  }
}

// Counts the calls in progress of one process. A call may be shared by several requests, which end separately.
import type { ModelName } from './scenario.ts'

/** The calls in progress. */
export class RunningCalls {
  // Number of requests by the number of the call.
  readonly #requests: Readonly<Record<ModelName, Map<number, number>>> = { m: new Map(), batched: new Map() }

  /** Records a request of a call. Returns the number of calls of the model that are in progress. */
  began(model: ModelName, call: number): number {
    const requests = this.#requests[model]
    requests.set(call, (requests.get(call) ?? 0) + 1)
    return requests.size
  }

  /** Records the end of a request of a call. */
  ended(model: ModelName, call: number): void {
    const requests = this.#requests[model]
    const others = requests.get(call)! - 1
    if (others === 0) requests.delete(call)
    else requests.set(call, others)
  }
}

// A transport without a network, which shows that a new transport only needs to implement Upstream.
import type { Dialect, OperationName } from '@inferwire/protocol'
import type { Endpoint, ModelFacts, Upstream } from '../../step.ts'

/** Answers every call with a description of the call, as JSON. */
export class MemoryUpstream implements Upstream {
  readonly #facts: ModelFacts

  constructor(facts: ModelFacts) {
    this.#facts = facts
  }

  endpoint(operation: OperationName, dialect: Dialect, version?: string): Endpoint {
    return {
      call: (request) => {
        const asked = { operation, dialect, version, body: request.body.toString() }
        return Promise.resolve({
          status: 200,
          body: Buffer.from(JSON.stringify(asked)),
          contentType: 'application/json',
          inferenceHeaderContentLength: undefined,
        })
      },
    }
  }

  facts(): Promise<ModelFacts> {
    return Promise.resolve(this.#facts)
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  destroy(): Promise<void> {
    return Promise.resolve()
  }
}

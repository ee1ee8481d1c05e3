// Sends explanations to a server of their own: in KServe's Standard mode, the explainer has its own Service.
import type { Dialect, OperationName } from '@inferwire/protocol'
import type { Endpoint, ModelFacts, Upstream } from '../step.ts'

/** Returns the upstream of a model whose operation `explain` is at another address. */
export function withExplainer(model: Upstream, explainer: Upstream): Upstream {
  return new ExplainedUpstream(model, explainer)
}

class ExplainedUpstream implements Upstream {
  readonly #model: Upstream
  readonly #explainer: Upstream

  constructor(model: Upstream, explainer: Upstream) {
    this.#model = model
    this.#explainer = explainer
  }

  endpoint(operation: OperationName, dialect: Dialect, version?: string): Endpoint | undefined {
    const upstream = operation === 'explain' ? this.#explainer : this.#model
    return upstream.endpoint(operation, dialect, version)
  }

  facts(signal: AbortSignal): Promise<ModelFacts> {
    return this.#model.facts(signal)
  }

  async close(): Promise<void> {
    await Promise.all([this.#model.close(), this.#explainer.close()])
  }

  async destroy(): Promise<void> {
    await Promise.all([this.#model.destroy(), this.#explainer.destroy()])
  }
}

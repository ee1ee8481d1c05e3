// Answers `metadata` and `ready` from a server's list of models, in a dialect whose paths do not contain the model.
import type { Dialect } from '@inferwire/protocol'
import type { Endpoint, EndpointRequest, EndpointResponse } from '../../step.ts'
import { UpstreamFailure } from '../upstream-failure.ts'
import type { Metadata } from './ask.ts'
import type { AskedModel } from './ask-facts.ts'
import { askModelList } from './ask-model-list.ts'
import { JSON_TYPE } from './content-type.ts'
import { withSignal } from './deadline-signal.ts'
import type { HttpTarget } from './http-endpoint.ts'

// Other members are left out, because they may describe the server: vLLM's `root` is a path in its file system.
const SHOWN = ['id', 'object', 'created', 'owned_by', 'max_model_len']

/**
 * Returns the model's entry in the list, or, for `ready`, `{"name":"…","ready":true}` with the model's name on its
 * server. Clients do not receive the whole list, because it may contain models that they may not see.
 */
export class ListEndpoint implements Endpoint {
  readonly #target: HttpTarget
  readonly #model: AskedModel
  readonly #dialect: Dialect
  readonly #isReadiness: boolean

  constructor(target: HttpTarget, model: AskedModel, dialect: Dialect, isReadiness: boolean) {
    this.#target = target
    this.#model = model
    this.#dialect = dialect
    this.#isReadiness = isReadiness
  }

  async call({ deadline }: EndpointRequest): Promise<EndpointResponse> {
    const { name } = this.#model
    const list = await withSignal(deadline, (signal) =>
      askModelList(this.#target, this.#dialect, name, signal),
    )
    if (list?.entry === undefined) {
      throw new UpstreamFailure('starting', false, 'model_not_ready', 'The model is not ready.', {
        detail: `${this.#target.origin}${this.#target.pathPrefix}: no list of models contains "${name}"`,
      })
    }
    const answer = this.#isReadiness ? { name, ready: true } : shownOf(list.entry)
    return {
      status: 200,
      body: Buffer.from(JSON.stringify(answer)),
      contentType: JSON_TYPE,
      inferenceHeaderContentLength: undefined,
    }
  }
}

function shownOf(entry: Metadata): Metadata {
  return Object.fromEntries(SHOWN.flatMap((name) => (name in entry ? [[name, entry[name]]] : [])))
}

// Calls an operation of a dialect whose bodies name the model, and which servers offer under different path prefixes.
import { DIALECTS, type Dialect, type DialectKind, type Route } from '@inferwire/protocol'
import type { Endpoint, EndpointRequest, EndpointResponse } from '../../step.ts'
import type { AskedModel } from './ask-facts.ts'
import { askModelList } from './ask-model-list.ts'
import { withSignal } from './deadline-signal.ts'
import { findUsage } from './find-usage.ts'
import type { HttpTarget } from './http-endpoint.ts'
import { nameModel } from './name-model.ts'
import { openEndpoint } from './open-endpoint.ts'

/**
 * Replaces the model's name in the body with its name on the server, and reads the token counts of a whole answer.
 * Finds the server's prefix before the first call, if the query for the model's facts has not found it yet.
 */
export class PrefixedEndpoint implements Endpoint {
  readonly #target: HttpTarget
  readonly #model: AskedModel
  readonly #dialect: Dialect
  readonly #route: Route
  #prefix: string | undefined
  #endpoint: Endpoint | undefined

  constructor(target: HttpTarget, model: AskedModel, dialect: Dialect, route: Route) {
    this.#target = target
    this.#model = model
    this.#dialect = dialect
    this.#route = route
  }

  async call(request: EndpointRequest): Promise<EndpointResponse> {
    const prefix = this.#model.prefixes.get(this.#dialect) ?? (await this.#find(request))
    if (this.#endpoint === undefined || prefix !== this.#prefix) {
      this.#prefix = prefix
      this.#endpoint = this.#at(prefix)
    }
    const response = await this.#endpoint.call(this.#named(request))
    if (response.endsStream === true) return response
    const usage = findUsage(response.body)
    return usage === undefined ? response : { ...response, usage }
  }

  #named(request: EndpointRequest): EndpointRequest {
    const { modelMember }: DialectKind = DIALECTS[this.#dialect]
    const { body, modelPlace } = request
    if (modelMember === undefined || modelPlace === undefined) return request
    const named = nameModel(body, modelMember, modelPlace, this.#model.name)
    return named === body ? request : { ...request, body: named }
  }

  #at(prefix: string): Endpoint {
    const { method, path, stream } = this.#route
    const route = { method, path: prefix + path }
    if (stream === undefined) return openEndpoint(this.#target, this.#dialect, route)
    const streamed = { when: stream.when, path: prefix + (stream.path ?? path) }
    return openEndpoint(this.#target, this.#dialect, { ...route, stream: streamed })
  }

  // If the server has no list, the prefix is unknown, so an empty prefix is used and not stored.
  async #find({ deadline }: EndpointRequest): Promise<string> {
    const { name, prefixes } = this.#model
    const list = await withSignal(deadline, (signal) =>
      askModelList(this.#target, this.#dialect, name, signal),
    )
    if (list === undefined) return ''
    prefixes.set(this.#dialect, list.prefix)
    return list.prefix
  }
}

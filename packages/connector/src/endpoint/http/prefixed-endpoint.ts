// Calls an operation of a dialect whose bodies name the model, and whose path prefix differs between servers.
import { DIALECTS, Problem, type Dialect, type DialectKind, type Route } from '@inferwire/protocol'
import type { Endpoint, EndpointRequest, EndpointResponse } from '../../step.ts'
import { copyRequest } from '../copy-request.ts'
import { UpstreamFailure } from '../upstream-failure.ts'
import type { AskedModel } from './ask-facts.ts'
import { askModelList } from './ask-model-list.ts'
import { withSignal } from './deadline-signal.ts'
import { findUsage } from './find-usage.ts'
import type { HttpTarget } from './http-endpoint.ts'
import { nameModel } from './name-model.ts'
import { openEndpoint } from './open-endpoint.ts'

const NOT_FOUND = 404

/**
 * Replaces the model's name in the body with its name on the server, and reads the token counts of a whole answer.
 * Finds the server's prefix before the first call, if the query for the model's facts has not found it yet.
 */
export class PrefixedEndpoint implements Endpoint {
  readonly #target: HttpTarget
  readonly #model: AskedModel
  readonly #dialect: Dialect
  readonly #route: Route
  /** The prefix that is used if no list of models was found, until a 404 shows that the path does not exist. */
  #guess: string | undefined
  #prefix: string | undefined
  #endpoint: Endpoint | undefined

  constructor(target: HttpTarget, model: AskedModel, dialect: Dialect, route: Route) {
    this.#target = target
    this.#model = model
    this.#dialect = dialect
    this.#route = route
  }

  async call(request: EndpointRequest): Promise<EndpointResponse> {
    const prefix = this.#model.prefixes.get(this.#dialect) ?? this.#guess ?? (await this.#find(request))
    if (this.#endpoint === undefined || prefix !== this.#prefix) {
      this.#prefix = prefix
      this.#endpoint = this.#at(prefix)
    }
    const response = await this.#endpoint.call(this.#named(request)).catch((error: unknown) => {
      if (error instanceof Problem && error.status === NOT_FOUND) this.#guess = undefined
      throw error
    })
    if (response.endsStream === true) return response
    const usage = findUsage(response.body)
    return usage === undefined ? response : { ...response, usage }
  }

  #named(request: EndpointRequest): EndpointRequest {
    const { modelMember }: DialectKind = DIALECTS[this.#dialect]
    const { body, modelPlace } = request
    if (modelMember === undefined || modelPlace === undefined) return request
    const named = nameModel(body, modelMember, modelPlace, this.#model.name)
    return named === body ? request : copyRequest(request, { body: named })
  }

  #at(prefix: string): Endpoint {
    const { method, path, stream } = this.#route
    const route = { method, path: prefix + path }
    if (stream === undefined) return openEndpoint(this.#target, this.#dialect, route)
    const streamed = { when: stream.when, path: prefix + (stream.path ?? path) }
    return openEndpoint(this.#target, this.#dialect, { ...route, stream: streamed })
  }

  // If the server has no list of models, or refuses the query for it, the empty prefix is tried.
  async #find({ deadline }: EndpointRequest): Promise<string> {
    const { name, prefixes } = this.#model
    const list = await withSignal(deadline, (signal) =>
      askModelList(this.#target, this.#dialect, name, signal),
    ).catch((error: unknown) => {
      if (deadline.problem !== undefined || error instanceof UpstreamFailure) throw error
      // Without a valid token, the call would fail in the same way.
      if (error instanceof Problem && error.code === 'unauthorized_upstream') throw error
      return undefined
    })
    if (list === undefined) return (this.#guess = '')
    prefixes.set(this.#dialect, list.prefix)
    return list.prefix
  }
}

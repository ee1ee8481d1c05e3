// Calls an operation of a dialect that servers offer under different path prefixes.
import type { Dialect, Route } from '@inferwire/protocol'
import type { Endpoint, EndpointRequest, EndpointResponse } from '../../step.ts'
import type { AskedModel } from './ask-facts.ts'
import { askModelList } from './ask-model-list.ts'
import { withSignal } from './deadline-signal.ts'
import { HttpEndpoint, type HttpTarget } from './http-endpoint.ts'

/** Finds the server's prefix before the first call, if the query for the model's facts has not found it yet. */
export class PrefixedEndpoint implements Endpoint {
  readonly #target: HttpTarget
  readonly #model: AskedModel
  readonly #dialect: Dialect
  readonly #route: Route
  #prefix: string | undefined
  #endpoint: HttpEndpoint | undefined

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
    return this.#endpoint.call(request)
  }

  #at(prefix: string): HttpEndpoint {
    const { path, stream } = this.#route
    const streamed = stream?.path === undefined ? {} : { stream: { ...stream, path: prefix + stream.path } }
    return new HttpEndpoint(this.#target, { ...this.#route, path: prefix + path, ...streamed })
  }

  // A server without a list has no known prefix; the prefix is then not stored.
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

// The way to a model server over HTTP: a connection pool, an endpoint for each route, the question what the model is.
import { operationRoute, type Dialect, type OperationName } from '@inferwire/protocol'
import { originOf } from '../../config/index.ts'
import type { Endpoint, ModelFacts, Upstream } from '../../step.ts'
import type { UpstreamOptions } from '../upstream-options.ts'
import { askFacts } from './ask-facts.ts'
import { HttpEndpoint, type HttpTarget } from './http-endpoint.ts'
import { openPool } from './open-pool.ts'

/** See the file's first line. */
export class HttpUpstream implements Upstream {
  readonly #target: HttpTarget
  readonly #model: string
  readonly #dialects: readonly Dialect[]

  /** `model` is its name on the server, `dialects` are those that the server may speak. */
  constructor(target: HttpTarget, model: string, dialects: readonly Dialect[]) {
    this.#target = target
    this.#model = model
    this.#dialects = dialects
  }

  endpoint(operation: OperationName, dialect: Dialect, version?: string): Endpoint | undefined {
    const route = operationRoute(operation, dialect, this.#model, version)
    return route === undefined ? undefined : new HttpEndpoint(this.#target, route, operation === 'ready')
  }

  facts(signal: AbortSignal): Promise<ModelFacts> {
    return askFacts(this.#target, this.#model, this.#dialects, signal)
  }

  close(): Promise<void> {
    return this.#target.pool.close()
  }

  destroy(): Promise<void> {
    return this.#target.pool.destroy()
  }
}

/** Opens a pool of connections; none is made before the first call. @throws when a TLS file cannot be read */
export function openHttpUpstream(options: UpstreamOptions): HttpUpstream {
  const { pathname } = new URL(options.url)
  const target: HttpTarget = {
    pool: openPool(options),
    origin: originOf(options.url),
    pathPrefix: pathname.replace(/\/+$/, ''),
    host: options.host,
    credential: options.credential,
    responseBytesMax: options.responseBytesMax,
  }
  return new HttpUpstream(target, options.model, options.dialects)
}

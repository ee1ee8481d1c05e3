// The client of a model server over HTTP: a connection pool, an endpoint per operation, and the metadata query.
import { fitsRoutes, operationRoute, OPERATIONS, type Dialect, type OperationName } from '@inferwire/protocol'
import { originOf } from '../../config/index.ts'
import type { Endpoint, ModelFacts, Upstream } from '../../step.ts'
import { ServiceTime } from '../refusal/service-time.ts'
import type { UpstreamOptions } from '../upstream-options.ts'
import { askFacts, type AskedModel } from './ask-facts.ts'
import { hasModelList } from './ask-model-list.ts'
import { askNames } from './ask-names.ts'
import type { HttpTarget } from './http-endpoint.ts'
import { ListEndpoint } from './list-endpoint.ts'
import { openEndpoint } from './open-endpoint.ts'
import { openPool } from './open-pool.ts'
import { PrefixedEndpoint } from './prefixed-endpoint.ts'

/** Implements `Upstream` over HTTP/1.1. */
export class HttpUpstream implements Upstream {
  readonly #target: HttpTarget
  readonly #model: AskedModel

  /**
   * @param name the model's name on the server
   * @param dialects the dialects that the server may support
   * @param versions the configured versions
   */
  constructor(
    target: HttpTarget,
    name: string,
    dialects: readonly Dialect[],
    versions: readonly string[] = [],
  ) {
    this.#target = target
    this.#model = { name, dialects, versions, prefixes: new Map() }
  }

  endpoint(operation: OperationName, dialect: Dialect, version?: string): Endpoint | undefined {
    const route = operationRoute(operation, dialect, this.#model.name, version)
    if (route === undefined) return undefined
    const isReadiness = operation === 'ready'
    if (!hasModelList(dialect)) return openEndpoint(this.#target, dialect, route, isReadiness)
    return OPERATIONS[operation].hasBody
      ? new PrefixedEndpoint(this.#target, this.#model, dialect, route)
      : new ListEndpoint(this.#target, this.#model, dialect, isReadiness)
  }

  facts(signal: AbortSignal): Promise<ModelFacts> {
    return askFacts(this.#target, this.#model, signal)
  }

  /** Returns the names of the models that the server lists; empty if it has no list. Never rejects. */
  modelNames(signal: AbortSignal): Promise<string[]> {
    return askNames(this.#target, this.#model.dialects, signal)
  }

  close(): Promise<void> {
    return this.#target.pool.close()
  }

  destroy(): Promise<void> {
    return this.#target.pool.destroy()
  }
}

/** Creates a client; it connects on the first call. @throws if a TLS file cannot be read */
export function openHttpUpstream(options: UpstreamOptions): HttpUpstream {
  const { pathname } = new URL(options.url)
  const target: HttpTarget = {
    pool: openPool(options),
    origin: originOf(options.url),
    pathPrefix: pathname.replace(/\/+$/, ''),
    host: options.host,
    credential: options.credential,
    isRepeatable: options.isRepeatable ?? true,
    responseBytesMax: options.responseBytesMax,
    stream: options.stream,
    errorText: options.errorText,
    serviceTime: new ServiceTime(),
  }
  const dialects = options.dialects.filter((dialect) => fitsRoutes(options.model, dialect))
  return new HttpUpstream(target, options.model, dialects, options.versions)
}

// The client of a model server over gRPC: a connection, an endpoint per operation, and the metadata query.
import type { DeclaredInput, Dialect, OperationName } from '@inferwire/protocol'
import { originOf, type TlsTrust } from '../../config/index.ts'
import type { Endpoint, EndpointRequest, ModelFacts, Upstream } from '../../step.ts'
import { ServiceTime } from '../refusal/service-time.ts'
import type { UpstreamOptions } from '../upstream-options.ts'
import { askFacts } from './ask-facts.ts'
import { GrpcConnection } from './grpc-connection.ts'
import type { GrpcTarget } from './grpc-target.ts'
import { InferEndpoint } from './infer-endpoint.ts'
import { askMetadata, MetadataEndpoint, ReadyEndpoint } from './model-state.ts'
import { StreamEndpoint } from './stream-endpoint.ts'
import type { WireModel } from './to-wire.ts'
import { VersionCheck } from './version-check.ts'

/** Implements `Upstream` over gRPC. It supports only the V2 dialect, whichever dialect is requested. */
export class GrpcUpstream implements Upstream {
  readonly #target: GrpcTarget
  readonly #name: string
  readonly #dialects: readonly Dialect[]
  readonly #versions: readonly string[]
  readonly #versionCheck: VersionCheck
  /** The inputs of each version, for bodies without JSON; the version is empty for the server's default. */
  readonly #inputs = new Map<string, readonly DeclaredInput[]>()

  constructor(target: GrpcTarget, name: string, dialects: readonly Dialect[], versions: readonly string[]) {
    this.#target = target
    this.#name = name
    this.#dialects = dialects
    this.#versions = versions
    this.#versionCheck = new VersionCheck(target, name)
  }

  endpoint(operation: OperationName, dialect: Dialect, version = ''): Endpoint | undefined {
    if (!this.#dialects.includes(dialect)) return undefined
    const model: WireModel = { name: this.#name, version }
    const askInputs = (request: EndpointRequest): Promise<readonly DeclaredInput[]> =>
      this.#askInputs(model, request)
    // The names of the operations are those of the HTTP servers.
    const endpoints: Readonly<Record<string, (() => Endpoint) | undefined>> = {
      infer: () => new InferEndpoint(this.#target, model, askInputs),
      infer_stream: () => new StreamEndpoint(this.#target, model, askInputs),
      metadata: () => new MetadataEndpoint(this.#target, model),
      ready: () => new ReadyEndpoint(this.#target, model),
    }
    const endpoint = endpoints[operation]?.()
    return endpoint === undefined || version === '' ? endpoint : this.#versionCheck.guard(endpoint, version)
  }

  async facts(signal: AbortSignal): Promise<ModelFacts> {
    // The model may have been replaced.
    this.#inputs.clear()
    this.#versionCheck.reset()
    return askFacts(this.#target, this.#name, this.#dialects, this.#versions, signal)
  }

  close(): Promise<void> {
    return this.#target.connection.close()
  }

  destroy(): Promise<void> {
    return this.#target.connection.destroy()
  }

  // The versions come from the configuration, so the size of the map is limited.
  async #askInputs(model: WireModel, request: EndpointRequest): Promise<readonly DeclaredInput[]> {
    const known = this.#inputs.get(model.version)
    if (known !== undefined) return known
    const { inputs } = await askMetadata(this.#target, model, request)
    this.#inputs.set(model.version, inputs)
    return inputs
  }
}

/** Creates a client; it connects on the first call. */
export function createGrpcUpstream(options: UpstreamOptions, trust: () => TlsTrust): GrpcUpstream {
  const origin = originOf(options.url)
  const target: GrpcTarget = {
    connection: new GrpcConnection({ origin, host: options.host, trust, serverName: options.tls.serverName }),
    origin,
    credential: options.credential,
    isRepeatable: options.isRepeatable ?? true,
    responseBytesMax: options.responseBytesMax,
    errorText: options.errorText,
    stream: options.stream,
    host: options.host,
    serviceTime: new ServiceTime(),
  }
  return new GrpcUpstream(target, options.model, options.dialects, options.versions)
}

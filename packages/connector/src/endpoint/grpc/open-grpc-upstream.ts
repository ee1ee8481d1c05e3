// Opens the client of a model server over gRPC. Loads the libraries only if a model uses gRPC: they need 15 MB.
import { grpcMethod, type Dialect, type OperationName } from '@inferwire/protocol'
import { RotatingTls } from '../../config/index.ts'
import type { Endpoint, ModelFacts, Upstream } from '../../step.ts'
import type { UpstreamOptions } from '../upstream-options.ts'

/** Creates a client; it connects on the first call. @throws if a TLS file cannot be read */
export function openGrpcUpstream(options: UpstreamOptions): Upstream {
  const files = new RotatingTls(options.tls, options.tlsNews)
  return new LoadingUpstream(
    import('./grpc-upstream.ts').then((module) => module.createGrpcUpstream(options, () => files.current())),
  )
}

class LoadingUpstream implements Upstream {
  readonly #loading: Promise<Upstream>

  constructor(loading: Promise<Upstream>) {
    this.#loading = loading
    // Each call reports the error. Without this handler, the error would also be an unhandled rejection.
    loading.catch(() => {})
  }

  endpoint(operation: OperationName, dialect: Dialect, version?: string): Endpoint | undefined {
    if (grpcMethod(operation, dialect) === undefined) return undefined
    let endpoint: Endpoint | undefined
    const load = async (): Promise<Endpoint> =>
      (endpoint = (await this.#loading).endpoint(operation, dialect, version)!)
    return {
      call: (request) => endpoint?.call(request) ?? load().then((loaded) => loaded.call(request)),
    }
  }

  async facts(signal: AbortSignal): Promise<ModelFacts> {
    return (await this.#loading).facts(signal)
  }

  async close(): Promise<void> {
    // Without the library there is nothing to close.
    await this.#loading.then(
      (upstream) => upstream.close(),
      () => {},
    )
  }

  async destroy(): Promise<void> {
    await this.#loading.then(
      (upstream) => upstream.destroy(),
      () => {},
    )
  }
}

// Chooses the transport to a model server.
import type { Transport } from '@inferwire/protocol'
import type { Upstream } from '../step.ts'
import { openGrpcUpstream } from './grpc/open-grpc-upstream.ts'
import { openHttpUpstream } from './http/http-upstream.ts'
import type { UpstreamOptions } from './upstream-options.ts'

const TRANSPORTS = {
  http: openHttpUpstream,
  grpc: openGrpcUpstream,
} as const satisfies Record<Transport, (options: UpstreamOptions) => Upstream>

/** Creates the client for a model server; it connects on the first call. @throws if a TLS file cannot be read */
export function openUpstream(options: UpstreamOptions): Upstream {
  return TRANSPORTS[options.transport ?? 'http'](options)
}

// Chooses the transport to a model server by the scheme of its URL.
import assert from 'node:assert/strict'
import type { Upstream } from '../step.ts'
import { openHttpUpstream } from './http/http-upstream.ts'
import type { UpstreamOptions } from './upstream-options.ts'

const TRANSPORTS: Readonly<Record<string, (options: UpstreamOptions) => Upstream>> = {
  'http:': openHttpUpstream,
  'https:': openHttpUpstream,
}

/** Opens the way to a model server; no connection is made before the first call. @throws when a TLS file cannot be read */
export function openUpstream(options: UpstreamOptions): Upstream {
  const open = TRANSPORTS[new URL(options.url).protocol]
  // The configuration refuses other schemes.
  assert(open, `no transport for ${options.url}`)
  return open(options)
}

// Chooses the transport to a model server by the scheme of its URL.
import assert from 'node:assert/strict'
import type { Upstream } from '../step.ts'
import { openHttpUpstream } from './http/http-upstream.ts'
import type { UpstreamOptions } from './upstream-options.ts'

const TRANSPORTS: Readonly<Record<string, (options: UpstreamOptions) => Upstream>> = {
  'http:': openHttpUpstream,
  'https:': openHttpUpstream,
}

/** Creates the client for a model server; it connects on the first call. @throws if a TLS file cannot be read */
export function openUpstream(options: UpstreamOptions): Upstream {
  const open = TRANSPORTS[new URL(options.url).protocol]
  // The configuration rejects other schemes.
  assert(open, `no transport for ${options.url}`)
  return open(options)
}

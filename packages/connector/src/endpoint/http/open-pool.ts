// The connections to one model server's origin: a pool of kept-alive HTTP/1.1 connections.
import { readTlsFiles, type TlsConfig } from '../../config/index.ts'
import { UpstreamPool } from './http-pool.ts'

/** How to reach an origin. */
export interface UpstreamTarget {
  /** Base URL of the model server: origin and optional path prefix. */
  readonly url: string
  readonly tls: TlsConfig
  /**
   * Most calls that run or still wait for their connection; more are `upstream_unreachable`. It must be above what
   * the gates let through. @default 1024
   */
  readonly connectionsMax?: number | undefined
}

const CONNECTIONS_MAX = 1_024

// A pod that is there answers the handshake in milliseconds; one behind a closed NetworkPolicy never does. A
// lost SYN is sent again after 1 s. While it lasts, the call keeps others from their turn.
const CONNECT_TIMEOUT_MS = 2_000
// Shorter than the 5 s after which older uvicorn closes idle connections under our feet.
const KEEP_ALIVE_TIMEOUT_MS = 4_000
const RESPONSE_HEADER_BYTES_MAX = 16 * 1024

/**
 * The models' gates bound the running calls; the pool's own limit bounds those that ended while their connection was
 * being made. No redirects, no decompression, no proxy environment: this is undici's dispatch layer, which has none
 * of them.
 */
export function openPool(target: UpstreamTarget): UpstreamPool {
  const { serverName } = target.tls
  return new UpstreamPool(new URL(target.url).origin, target.connectionsMax ?? CONNECTIONS_MAX, {
    // The request's own deadline covers both, to the millisecond.
    headersTimeout: 0,
    bodyTimeout: 0,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    keepAliveMaxTimeout: 60_000,
    maxHeaderSize: RESPONSE_HEADER_BYTES_MAX,
    connect: {
      timeout: CONNECT_TIMEOUT_MS,
      noDelay: true,
      ...(serverName === undefined ? {} : { servername: serverName }),
      ...readTlsFiles(target.tls),
    },
  })
}

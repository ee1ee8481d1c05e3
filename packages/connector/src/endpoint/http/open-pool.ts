// Opens the pool of kept-alive HTTP/1.1 connections to one model server's origin.
import { originOf, readTlsFiles, type TlsConfig } from '../../config/index.ts'
import { HttpPool } from './http-pool.ts'

/** How to reach an origin. */
export interface PoolTarget {
  /** Base URL of the model server. */
  readonly url: string
  readonly tls: TlsConfig
  /** Most calls that run or still wait for their connection; more are `upstream_unreachable`. */
  readonly callsMax: number
}

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
export function openPool({ url, tls, callsMax }: PoolTarget): HttpPool {
  const { serverName } = tls
  const connect = {
    timeout: CONNECT_TIMEOUT_MS,
    noDelay: true,
    ...(serverName === undefined ? {} : { servername: serverName }),
    ...readTlsFiles(tls),
  }
  return new HttpPool(originOf(url), callsMax, connect, {
    // The request's own deadline covers both, to the millisecond.
    headersTimeout: 0,
    bodyTimeout: 0,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    keepAliveMaxTimeout: 60_000,
    maxHeaderSize: RESPONSE_HEADER_BYTES_MAX,
    // A connection of HTTP/2 carries many calls, and could not be closed under one of them.
    allowH2: false,
  })
}

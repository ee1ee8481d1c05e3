// Creates the pool of persistent HTTP/1.1 connections to one model server's origin.
import {
  originOf,
  RotatingTls,
  type TlsConfig,
  type TlsFilesNews,
  type TlsTrust,
} from '../../config/index.ts'
import { HttpPool } from './http-pool.ts'

type ConnectOptions = ReturnType<ConstructorParameters<typeof HttpPool>[2]>

/** Options of `openPool`. */
export interface PoolTarget {
  /** Base URL of the model server. */
  readonly url: string
  readonly tls: TlsConfig
  /** Receives the mistakes in rotated TLS files. @default they are not reported */
  readonly tlsNews?: TlsFilesNews | undefined
  /** Maximum number of calls in flight or waiting for a connection; further calls fail with `upstream_unreachable`. */
  readonly callsMax: number
}

// A running pod completes the handshake in milliseconds; if a NetworkPolicy denies the connection, the handshake never
// completes. A lost SYN is retransmitted after 1 s. A longer timeout would only occupy the call's slot for longer.
const CONNECT_TIMEOUT_MS = 2_000
// Shorter than the 5 s after which older versions of uvicorn close idle connections.
const KEEP_ALIVE_TIMEOUT_MS = 4_000
const RESPONSE_HEADER_BYTES_MAX = 16 * 1024

/**
 * Creates a connection pool. The models' gates limit the calls in flight; the pool's own limit also includes calls that
 * were cancelled while they waited for a connection. undici's dispatch layer does not follow redirects, does not
 * decompress, and ignores proxy variables.
 */
export function openPool({ url, tls, tlsNews, callsMax }: PoolTarget): HttpPool {
  return new HttpPool(originOf(url), callsMax, currentOptions(tls, tlsNews), {
    // The request's deadline replaces both timeouts.
    headersTimeout: 0,
    bodyTimeout: 0,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    keepAliveMaxTimeout: 60_000,
    maxHeaderSize: RESPONSE_HEADER_BYTES_MAX,
    // Calls share an HTTP/2 connection, so it could not be closed to end a single call.
    allowH2: false,
  })
}

// The options of new connections, with the TLS files as they are now.
function currentOptions(tls: TlsConfig, news: TlsFilesNews | undefined): () => ConnectOptions {
  const files = new RotatingTls(tls, news)
  const { serverName } = tls
  let used: TlsTrust | undefined
  let options: ConnectOptions
  return () => {
    const trust = files.current()
    if (trust !== used) {
      used = trust
      options = {
        timeout: CONNECT_TIMEOUT_MS,
        noDelay: true,
        ...(serverName === undefined ? {} : { servername: serverName }),
        ...trust,
      }
    }
    return options
  }
}

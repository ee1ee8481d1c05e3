// The HTTP server for `/livez`, `/readyz` and `/metrics`. It is read-only.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** The data that the endpoints return. */
export interface AdminViews {
  /** Reasons why the connector is not ready, as text for operators; empty = ready. */
  readonly missing: () => readonly string[]
  readonly metrics: () => Promise<{ readonly contentType: string; readonly text: string }>
}

// Protects against DNS rebinding: if a web page's host name resolves to a loopback address, the browser allows the page
// to read from this server, but sends that host name as Host. On other addresses any Host is allowed, because probes
// and scrapers use the pod's address.
const LOOPBACK_ADDRESS = /^(?:(?:::ffff:)?127\.|::1$)/
const LOOPBACK_HOST = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i

/** A running admin server. */
export interface AdminServer {
  readonly url: string
  close(): Promise<void>
}

/**
 * Listens on `host`:`port` (0 = any free port). On a loopback address only loopback Hosts are allowed.
 * @throws the error of `listen`, such as EADDRINUSE
 */
export async function startAdminServer(host: string, port: number, views: AdminViews): Promise<AdminServer> {
  // Until the address is known, only loopback Hosts are allowed.
  let isLocal = true
  const server = createServer((request, response) => {
    // RFC 9112 §3.2: 400 for more than one Host. Node.js keeps the first one, and rejects a request without Host.
    if ((request.headersDistinct['host']?.length ?? 0) > 1) {
      send(response, 400, 'The request has more than one Host field.\n')
    } else if (isLocal && !LOOPBACK_HOST.test(request.headers.host ?? '')) {
      send(response, 403, 'This endpoint is local: Host must be localhost, 127.0.0.1 or [::1].\n')
    } else void answer(request, response, views)
  })
  server.headersTimeout = 5_000
  server.requestTimeout = 5_000
  // The only limit on the request head is its size: Node.js allows 16 KiB. If the number of fields were limited,
  // Node.js would silently drop further fields, possibly a second Host.
  server.maxHeadersCount = 0
  await listen(server, host, port)
  const address = server.address() as AddressInfo
  isLocal = LOOPBACK_ADDRESS.test(address.address)
  const shownHost = address.family === 'IPv6' ? `[${address.address}]` : address.address
  return {
    url: `http://${shownHost}:${address.port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function answer(request: IncomingMessage, response: ServerResponse, views: AdminViews): Promise<void> {
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return send(response, 405, 'Only GET and HEAD are allowed.\n')
  }
  switch (request.url ?? '/') {
    case '/livez':
      return send(response, 200, 'ok\n')
    case '/readyz': {
      const missing = views.missing()
      return missing.length === 0
        ? send(response, 200, 'ok\n')
        : send(response, 503, `${missing.join('\n')}\n`)
    }
    case '/metrics':
      try {
        const { contentType, text } = await views.metrics()
        return send(response, 200, text, contentType)
      } catch (error) {
        return send(response, 500, `The metrics could not be collected: ${String(error)}\n`)
      }
    default:
      return send(response, 404, 'Not found. The endpoints are /livez, /readyz and /metrics.\n')
  }
}

function send(
  response: ServerResponse,
  status: number,
  text: string,
  contentType = 'text/plain; charset=utf-8',
): void {
  response.writeHead(status, {
    'content-type': contentType,
    'content-length': Buffer.byteLength(text),
    'x-content-type-options': 'nosniff',
    'cache-control': 'no-store',
  })
  response.end(text)
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

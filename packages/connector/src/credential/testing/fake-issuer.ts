// A token endpoint that misbehaves on purpose.
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type RequestListener, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'

/** A token request that arrived. */
export interface SeenRequest {
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly form: URLSearchParams
}

/** Answers token requests as a test decides. */
export class FakeIssuer {
  readonly seen: SeenRequest[] = []
  /** Answers a request. */
  answer: (response: ServerResponse, request: SeenRequest) => void = (response) =>
    sendJson(response, { access_token: 'opaque', token_type: 'Bearer', expires_in: 3600 })
  readonly #server: ReturnType<typeof createServer>
  readonly #scheme: string

  private constructor(tls: { readonly cert: string; readonly key: string } | undefined) {
    this.#scheme = tls === undefined ? 'http' : 'https'
    const listener: RequestListener = (request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        const form = new URLSearchParams(Buffer.concat(chunks).toString())
        const seen = { path: request.url ?? '', headers: request.headers, form }
        this.seen.push(seen)
        this.answer(response, seen)
      })
    }
    this.#server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener)
  }

  /** @param port 0 = any free port */
  static async start(tls?: { readonly cert: string; readonly key: string }, port = 0): Promise<FakeIssuer> {
    const issuer = new FakeIssuer(tls)
    issuer.#server.listen(port, '127.0.0.1')
    await once(issuer.#server, 'listening')
    return issuer
  }

  get tokenUrl(): string {
    return `${this.#scheme}://localhost:${(this.#server.address() as AddressInfo).port}/token`
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }
}

/** Answers with JSON. */
export function sendJson(response: ServerResponse, body: unknown, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

/** Returns an unsigned token with these claims. */
export function tokenWith(claims: object): string {
  const [header, payload] = [{ alg: 'none', typ: 'JWT' }, claims].map((part) =>
    Buffer.from(JSON.stringify(part)).toString('base64url'),
  )
  return `${header}.${payload}.c2lnbmF0dXJl`
}

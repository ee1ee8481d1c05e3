// Stands in for oauth2-proxy, the login service of Kubeflow's gateway: it sends the replies that were recorded from it.
// Limits: no login and no cookies; every request is refused. gate-login.test.ts compares it with the real oauth2-proxy.
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** How oauth2-proxy refuses: with its page (`skip_provider_button = false`), or with a redirect to the login (`true`). */
export type LoginReply = 'page' | 'redirect'

// The bytes between are style sheets and images, on which nothing may depend.
const PAGE =
  '\n<!DOCTYPE html>\n<html lang="en" charset="utf-8">\n  <head>\n    <meta charset="utf-8">\n    <title>Sign In</title>\n  </head>\n  <body>\n    <form method="GET" action="/oauth2/start"><button type="submit">Sign in with Dex</button></form>\n  </body>\n</html>\n'
const AUTHORIZE =
  '/dex/auth?approval_prompt=force&client_id=kubeflow-oidc-authservice&redirect_uri=%2Foauth2%2Fcallback&response_type=code&scope=profile+email+groups+openid&state=STATE'

/** A running login service. */
export class LoginStub {
  reply: LoginReply
  readonly #server: Server
  readonly port: number

  private constructor(server: Server, reply: LoginReply) {
    this.#server = server
    this.port = (server.address() as AddressInfo).port
    this.reply = reply
    server.on('request', ({ url = '/' }, response) => this.#refuse(url, response))
  }

  static async start(reply: LoginReply): Promise<LoginStub> {
    const server = createServer()
    await listen(server, 0)
    return new LoginStub(server, reply)
  }

  /** Stops the service, as if its pod were gone. */
  async stop(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve())
      this.#server.closeAllConnections()
    })
  }

  /** Starts the service again after `stop`. */
  restart(): Promise<void> {
    return listen(this.#server, this.port)
  }

  #refuse(url: string, response: ServerResponse): void {
    // oauth2-proxy answers a request for an API without a page.
    if (/\/apis?\//.test(url)) return send(response, 401, { 'content-type': 'application/json' }, '{}')
    if (this.reply === 'page') {
      return send(response, 403, { 'content-type': 'text/html; charset=utf-8' }, PAGE)
    }
    const cookie = 'oauth2_proxy_kubeflow_csrf=STATE; Path=/; HttpOnly'
    send(response, 302, { location: AUTHORIZE, 'set-cookie': cookie }, '')
  }
}

function send(response: ServerResponse, status: number, headers: Record<string, string>, body: string): void {
  response.writeHead(status, headers).end(body)
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => {
      server.off('error', reject)
      resolve()
    })
  })
}

// Sends requests to the API server over HTTP/1.1, with the current credential, and streams the answers.
import type { IncomingHttpHeaders } from 'node:http'
import { Pool, type Dispatcher } from 'undici'
import { aborted, KubeError, statusError, timedOut, tooLarge, unreachable } from './kube-error.ts'
import { isRecord } from './kube-object.ts'
import { sameTls, type KubeLogin, type KubeTarget, type KubeTls } from './kube-target.ts'

/** A request to the API server. */
export interface KubeRequest {
  readonly method: 'GET' | 'POST'
  /** Path below the server's address, with the query. */
  readonly path: string
  readonly body?: string
  readonly signal: AbortSignal
  /** Longest wait for the head of the answer. */
  readonly headMs: number
  /** Longest wait between two parts of the answer's body. */
  readonly silenceMs: number
}

/** An answer whose status is below 300. The body must be read to its end, or its iterator be returned. */
export interface KubeAnswer {
  /** Method and path, for messages. */
  readonly what: string
  readonly chunks: AsyncIterable<Buffer>
}

const CONNECT_TIMEOUT_MS = 10_000
// The API server detects idle connections itself; a short time avoids requests on a connection that it has just closed.
const KEEP_ALIVE_MS = 4_000
const ERROR_BYTES_MAX = 64 * 1024
const RETRY_AFTER_MAX_MS = 60 * 60 * 1000

/** Connections to one API server. */
export class KubeHttp {
  readonly #target: KubeTarget
  readonly #prefix: string
  #pool: { readonly pool: Pool; readonly tls: KubeTls } | undefined
  // Pools with replaced certificates, until their last request has ended.
  readonly #ending = new Set<Pool>()

  constructor(target: KubeTarget) {
    this.#target = target
    this.#prefix = target.server.pathname.replace(/\/+$/, '')
  }

  /**
   * Sends a request. After a 401 the credential is renewed, and the request repeated once. @throws KubeError for an
   * error status, a redirect, or no answer
   */
  async send(request: KubeRequest): Promise<KubeAnswer> {
    const { signal } = request
    const login = await this.#target.login(signal)
    try {
      return await this.#attempt(request, login)
    } catch (error) {
      if (!(error instanceof KubeError) || error.status !== 401) throw error
      if (!(await this.#target.renew(login, signal))) throw error
      return await this.#attempt(request, await this.#target.login(signal))
    }
  }

  /** Closes all connections; requests in flight fail. */
  async close(): Promise<void> {
    const pools = [...this.#ending, ...(this.#pool === undefined ? [] : [this.#pool.pool])]
    await Promise.all(pools.map((pool) => pool.destroy()))
  }

  async #attempt(
    { method, path, body, signal, headMs, silenceMs }: KubeRequest,
    login: KubeLogin,
  ): Promise<KubeAnswer> {
    const what = `${method} ${this.#target.server.origin}${this.#prefix}${withoutQuery(path)}`
    const headers: Record<string, string> = { accept: 'application/json', 'user-agent': 'inferwire' }
    if (login.token !== undefined) headers['authorization'] = `Bearer ${login.token}`
    if (body !== undefined) headers['content-type'] = 'application/json'
    let response: Dispatcher.ResponseData
    try {
      response = await this.#poolFor(login.tls).request({
        method,
        path: `${this.#prefix}${path}`,
        headers,
        body: body ?? null,
        signal,
        headersTimeout: headMs,
        bodyTimeout: silenceMs,
      })
    } catch (error) {
      throw failure(what, error, signal)
    }
    const chunks = chunksOf(what, response.body, signal)
    if (response.statusCode < 300) return { what, chunks }
    const status = statusOf(await errorText(chunks, performance.now() + headMs), login)
    throw statusError(what, response.statusCode, status, retryAfterMs(response.headers))
  }

  // New connections use the current certificates. Running requests keep their connections.
  #poolFor(tls: KubeTls): Pool {
    if (this.#pool !== undefined && sameTls(this.#pool.tls, tls)) return this.#pool.pool
    if (this.#pool !== undefined) this.#end(this.#pool.pool)
    const { server, serverName } = this.#target
    const pool = new Pool(server.origin, {
      // One connection per request in flight; the callers limit their requests.
      connections: null,
      pipelining: 1,
      allowH2: false,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connect: {
        timeout: CONNECT_TIMEOUT_MS,
        // Not even NODE_TLS_REJECT_UNAUTHORIZED=0 lets the token go to another server.
        rejectUnauthorized: true,
        ...(tls.ca === undefined ? {} : { ca: tls.ca }),
        ...(tls.cert === undefined ? {} : { cert: tls.cert, key: tls.key }),
        ...(serverName === undefined ? {} : { servername: serverName }),
      },
    })
    this.#pool = { pool, tls }
    return pool
  }

  #end(pool: Pool): void {
    this.#ending.add(pool)
    void pool
      .close()
      .catch(() => {})
      .finally(() => this.#ending.delete(pool))
  }
}

/** Reads a whole body. @throws KubeError `TooLarge` */
export async function readBody({ what, chunks }: KubeAnswer, bytesMax: number): Promise<string> {
  const parts: Buffer[] = []
  let bytes = 0
  for await (const chunk of chunks) {
    parts.push(chunk)
    bytes += chunk.length
    if (bytes > bytesMax) {
      throw tooLarge(
        `The answer to ${what} is larger than ${bytesMax} bytes`,
        'Ask for fewer or smaller objects.',
      )
    }
  }
  return Buffer.concat(parts).toString('utf8')
}

async function* chunksOf(
  what: string,
  body: Dispatcher.ResponseData['body'],
  signal: AbortSignal,
): AsyncGenerator<Buffer, void, undefined> {
  try {
    for await (const chunk of body) yield chunk as Buffer
  } catch (error) {
    throw failure(what, error, signal)
  }
}

function failure(what: string, error: unknown, signal: AbortSignal): KubeError {
  if (error instanceof KubeError) return error
  if (!signal.aborted) return unreachable(what, error as Error)
  return (signal.reason as Error | undefined)?.name === 'TimeoutError' ? timedOut(what) : aborted(what)
}

function withoutQuery(path: string): string {
  return path.split('?', 1)[0]!
}

async function errorText(chunks: AsyncIterable<Buffer>, untilMs: number): Promise<string> {
  const parts: Buffer[] = []
  let bytes = 0
  try {
    for await (const chunk of chunks) {
      parts.push(chunk)
      bytes += chunk.length
      if (bytes > ERROR_BYTES_MAX || performance.now() > untilMs) break
    }
  } catch {
    // The status alone describes the error well enough.
  }
  return Buffer.concat(parts).toString('utf8', 0, ERROR_BYTES_MAX)
}

/** Reads reason and message of a Kubernetes Status; another body is the message. */
function statusOf(text: string, login: KubeLogin): { readonly reason?: string; readonly message?: string } {
  try {
    const status: unknown = JSON.parse(text)
    if (!isRecord(status)) return {}
    const { reason, message } = status
    return {
      ...(typeof reason === 'string' && reason !== '' ? { reason: withoutToken(reason, login) } : {}),
      ...(typeof message === 'string' ? { message: withoutToken(message, login) } : {}),
    }
  } catch {
    return { message: withoutToken(text, login).trim().slice(0, 200) }
  }
}

// A proxy may put the request's headers into its error page.
function withoutToken(text: string, { token }: KubeLogin): string {
  const shown = text.replaceAll(/\b(bearer)\s+\S+/gi, '$1 ***')
  return token === undefined ? shown : shown.replaceAll(token, '***')
}

// The API server sends seconds; a proxy's date is ignored, because the back-off waits anyway.
function retryAfterMs(headers: IncomingHttpHeaders): number | undefined {
  const value = headers['retry-after']
  if (value === undefined || !/^\d{1,9}$/.test(value)) return undefined
  return Math.min(Number(value) * 1000, RETRY_AFTER_MAX_MS)
}

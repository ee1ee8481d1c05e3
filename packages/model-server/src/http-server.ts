// The HTTP/1.1 server: finds the route, limits the body, and converts errors into responses.
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { BytesReply, Call, Route, StreamReply } from './call.ts'
import { Failure } from './failure.ts'

/** Creates the server without starting to listen. */
export function createHttpServer(routes: readonly Route[], requestBytesMax: number): Server {
  const options = {
    noDelay: true,
    // The value that KServe sets for uvicorn.
    keepAliveTimeout: 65_000,
    // Time limit for receiving a request.
    requestTimeout: 60_000,
  }
  const server = createServer(options, (request, response) => {
    const send: Send = (status, reply, headers) => {
      // By default, a connection that is busy when the server closes would stay open for further requests.
      if (!server.listening) response.shouldKeepAlive = false
      if (typeof reply === 'object' && 'events' in reply) return stream(response, reply)
      write(response, status, reply, headers)
      return undefined
    }
    void answer(routes, requestBytesMax, request, response, send)
  })
  // Only Node.js's limit of 16 KiB for all headers applies. If the number of headers were also limited, Node.js
  // would silently drop the headers above the limit, and one of those could be a second Host.
  server.maxHeadersCount = 0
  return server
}

type Send = (
  status: number,
  reply: string | BytesReply | StreamReply,
  headers?: Readonly<Record<string, string>>,
) => Promise<void> | undefined

async function answer(
  routes: readonly Route[],
  requestBytesMax: number,
  request: IncomingMessage,
  response: ServerResponse,
  send: Send,
): Promise<void> {
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  // A broken connection also emits `close`; the error adds no information.
  request.on('error', () => undefined)
  response.on('error', () => undefined)
  try {
    checkHost(request)
    const [route, params] = findRoute(routes, request)
    const call: Call = {
      params,
      header: (name) => request.headers[name] as string | undefined,
      body: () => readBody(request, requestBytesMax),
      signal: gone.signal,
    }
    await send(200, await route.handle(call))
  } catch (error) {
    if (gone.signal.aborted) return
    // The response has begun, so its status cannot change. A client notices the broken connection.
    if (response.headersSent) {
      response.destroy()
      return
    }
    const failure = Failure.from(error)
    const body = failure.status === 307 ? '' : JSON.stringify(failure.body)
    await send(failure.status, body, failure.headers)
  } finally {
    // Discards the rest of the body, so that the connection can be reused.
    request.resume()
  }
}

// RFC 9112 §3.2: 400 for more than one Host field. Node.js keeps the first one, and rejects a request without Host.
function checkHost({ headersDistinct }: IncomingMessage): void {
  if ((headersDistinct['host']?.length ?? 0) > 1) {
    throw Failure.detail(400, 'The request has more than one Host header field.', { connection: 'close' })
  }
}

function write(
  response: ServerResponse,
  status: number,
  reply: string | BytesReply,
  headers: object = {},
): void {
  const { body, headers: own } =
    typeof reply === 'string'
      ? { body: Buffer.from(reply), headers: { 'content-type': 'application/json' } }
      : reply
  response.writeHead(status, { ...own, ...headers, 'content-length': body.length })
  response.end(body)
}

/** Sends the parts as chunks. A slow client slows the source down. */
async function stream(response: ServerResponse, { events, headers }: StreamReply): Promise<void> {
  response.writeHead(200, headers)
  for await (const part of events) {
    if (response.destroyed) return
    if (!response.write(part)) await writable(response)
  }
  response.end()
}

/** Waits until the client has read what was sent, or has disconnected. */
async function writable(response: ServerResponse): Promise<void> {
  const over = new AbortController()
  const { signal } = over
  await Promise.race([once(response, 'drain', { signal }), once(response, 'close', { signal })])
  over.abort()
}

function findRoute(routes: readonly Route[], request: IncomingMessage): [Route, Call['params']] {
  const path = pathOf(request)
  const found = match(routes, path)
  for (const [route, params] of found) if (route.method === request.method) return [route, params]
  if (found.length > 0) {
    const allow = [...new Set(found.map(([{ method }]) => method))].join(', ')
    throw Failure.detail(405, 'Method Not Allowed', { allow })
  }
  // As in Starlette, a path with a trailing slash is redirected to the path without it, if a route matches.
  // The redirect is relative, so that the response does not repeat the Host field.
  if (path.endsWith('/') && match(routes, path.slice(0, -1)).length > 0) {
    throw Failure.detail(307, 'Temporary Redirect', { location: encodeURI(path.slice(0, -1)) })
  }
  throw Failure.detail(404, 'Not Found')
}

function match(routes: readonly Route[], path: string): [Route, Call['params']][] {
  return routes.flatMap((route) => {
    const found = route.path.exec(path)
    return found === null ? [] : [[route, { ...found.groups }]]
  })
}

/** Returns the decoded path, because KServe accepts percent-encoded model names. */
function pathOf(request: IncomingMessage): string {
  const [path = ''] = (request.url ?? '').split('?', 1)
  try {
    return decodeURIComponent(path)
  } catch {
    throw Failure.detail(404, 'Not Found')
  }
}

/** KServe has no limit; this server responds 413 as soon as the declared or received size exceeds its limit. */
async function readBody(request: IncomingMessage, bytesMax: number): Promise<Uint8Array> {
  const tooLarge = () => Failure.error(413, `The body is larger than the limit of ${bytesMax} bytes.`)
  if (Number(request.headers['content-length'] ?? 0) > bytesMax) throw tooLarge()
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let length = 0
    request.on('data', (chunk: Buffer) => {
      length += chunk.length
      if (length > bytesMax) {
        chunks.length = 0
        reject(tooLarge())
      } else {
        chunks.push(chunk)
      }
    })
    request.once('end', () => resolve(Buffer.concat(chunks)))
    request.once('close', () => reject(new Error('the client closed the connection')))
  })
}

// A gRPC server on node:http2 whose handlers control every frame, so that tests can make the server misbehave.
import { once } from 'node:events'
import {
  createSecureServer,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type SecureServerOptions,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import type { AddressInfo } from 'node:net'

/** A call that has arrived, with its first message. */
export interface ServedCall {
  readonly stream: ServerHttp2Stream
  readonly headers: IncomingHttpHeaders
  /** Empty if the client sent no message. */
  readonly message: Buffer
}

/** A running server. */
export interface GrpcServer {
  readonly url: string
  readonly calls: readonly ServedCall[]
  /** The connections that are open. */
  readonly sessions: ReadonlySet<ServerHttp2Session>
  /** The number of connections so far. */
  readonly sessionCount: () => number
  stop(): void
}

/** Options of a server. */
export interface GrpcServerOptions {
  readonly port?: number
  readonly tls?: SecureServerOptions
  /** Calls `serve` at once, without the message; the server never reads the message. */
  readonly isEarly?: boolean
}

/** Starts a server; `serve` is called when the client has ended its half of a call. */
export async function startGrpcServer(
  serve: (call: ServedCall, index: number) => void,
  options: GrpcServerOptions = {},
): Promise<GrpcServer> {
  const server: Http2Server = options.tls === undefined ? createServer() : createSecureServer(options.tls)
  const calls: ServedCall[] = []
  const sessions = new Set<ServerHttp2Session>()
  let count = 0
  server.on('session', (session) => {
    count += 1
    sessions.add(session)
    session.on('close', () => sessions.delete(session))
    session.on('error', () => {})
  })
  server.on('stream', (stream, headers) => {
    const chunks: Buffer[] = []
    stream.on('error', () => {})
    if (options.isEarly === true) return serve({ stream, headers, message: Buffer.alloc(0) }, 0)
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.on('end', () => {
      if (stream.aborted) return
      const call = { stream, headers, message: Buffer.concat(chunks).subarray(5) }
      calls.push(call)
      serve(call, calls.length - 1)
    })
  })
  server.listen(options.port ?? 0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `${options.tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`,
    calls,
    sessions,
    sessionCount: () => count,
    stop: () => {
      for (const session of sessions) session.destroy()
      server.close()
    },
  }
}

/** Returns a message with the prefix of gRPC over HTTP/2. */
export function framed(message: Uint8Array): Buffer {
  const frame = Buffer.alloc(5 + message.length)
  frame.writeUInt32BE(message.length, 1)
  frame.set(message, 5)
  return frame
}

/** Sends messages, then a status in the trailers. */
export function answer({ stream }: ServedCall, messages: readonly Uint8Array[], status = 0, text = ''): void {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
  stream.on('wantTrailers', () => {
    stream.sendTrailers({ 'grpc-status': String(status), 'grpc-message': encodeURIComponent(text) })
  })
  for (const message of messages) stream.write(framed(message))
  stream.end()
}

/** Sends only a status, without a message: the headers are also the trailers. */
export function refuse({ stream }: ServedCall, status: number, text: string): void {
  stream.respond(
    {
      ':status': 200,
      'content-type': 'application/grpc',
      'grpc-status': String(status),
      'grpc-message': encodeURIComponent(text),
    },
    { endStream: true },
  )
}

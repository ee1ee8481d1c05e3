// The fake model server over gRPC, on node:http2: a model's name selects its behaviour, down to single frames.
import {
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import type { AddressInfo } from 'node:net'
import { fieldsOf, framed, inferResponse, messagesIn, metadataResponse } from './grpc-wire.ts'

type Behave = (stream: ServerHttp2Stream, id: string) => void

const GRPC_HEADERS = { ':status': 200, 'content-type': 'application/grpc' }
const PAGE = '<!DOCTYPE html><html><head><title>Sign In</title></head></html>'
const RST_STREAM_INTERNAL_ERROR = 2
const CHUNK = Buffer.alloc(64 * 1024, 1)
// Long enough for a message to arrive before the fault.
const PAUSE_MS = 50

const TENSOR = { name: 'x', datatype: 'FP32', shape: [1, 4] }
const ANSWER = (id: string): Buffer =>
  inferResponse('fake', id, [{ ...TENSOR, raw: Buffer.from(Float32Array.from([1, 2, 3, 4]).buffer) }])

/** Ends a call with a status in the trailers, after any number of messages. */
function finish(stream: ServerHttp2Stream, messages: readonly Buffer[], status = 0, text = ''): void {
  stream.respond(GRPC_HEADERS, { waitForTrailers: true })
  stream.on('wantTrailers', () =>
    stream.sendTrailers({ 'grpc-status': String(status), 'grpc-message': encodeURIComponent(text) }),
  )
  for (const message of messages) stream.write(framed(message))
  stream.end()
}

/** Answers with a status in the headers, without messages or trailers. */
const refuse =
  (status: number, text: string): Behave =>
  (stream) =>
    stream.respond(
      { ...GRPC_HEADERS, 'grpc-status': String(status), 'grpc-message': encodeURIComponent(text) },
      { endStream: true },
    )

/** Answers like a gateway that does not support gRPC. */
const page =
  (headers: OutgoingHttpHeaders, body: string): Behave =>
  (stream) => {
    stream.respond(headers)
    stream.end(body)
  }

/** Answers with one message; the rest of the answer follows when the message has been sent. */
const afterMessage =
  (then: (stream: ServerHttp2Stream) => void): Behave =>
  (stream, id) => {
    stream.respond(GRPC_HEADERS)
    stream.write(framed(ANSWER(id)), () => setTimeout(() => then(stream), PAUSE_MS))
  }

/** Starts an answer, and writes the bytes without gRPC framing. */
const raw =
  (bytes: (id: string) => Buffer, then: (stream: ServerHttp2Stream) => void): Behave =>
  (stream, id) => {
    stream.respond(GRPC_HEADERS)
    stream.write(bytes(id), () => then(stream))
  }

const BEHAVIOURS: Readonly<Record<string, Behave>> = {
  hang: () => {},
  'hang-in-body': (stream) => {
    stream.respond(GRPC_HEADERS)
    stream.write(framed(ANSWER('')).subarray(0, 20))
  },
  reset: (stream) => stream.session?.socket.resetAndDestroy(),
  'half-close': (stream) => stream.session?.destroy(),
  rst: (stream) => stream.close(RST_STREAM_INTERNAL_ERROR),
  cut: raw(
    (id) => framed(ANSWER(id)).subarray(0, 20),
    (stream) => stream.session?.destroy(),
  ),
  'no-status': raw(
    (id) => framed(ANSWER(id)),
    (stream) => stream.end(),
  ),
  'cut-after-message': afterMessage((stream) => stream.session?.destroy()),
  'idle-after-message': afterMessage(() => {}),
  'half-after-message': (stream, id) => {
    stream.respond(GRPC_HEADERS, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
    stream.end(Buffer.concat([framed(ANSWER(id)), framed(ANSWER(id)).subarray(0, 20)]))
  },
  'garbage-after-message': (stream, id) =>
    finish(stream, [ANSWER(id), Buffer.from('220 smtp.example ESMTP')]),
  'no-message': (stream) => finish(stream, []),
  'two-messages': (stream, id) => finish(stream, [ANSWER(id), ANSWER(id)]),
  garbage: (stream) => finish(stream, [Buffer.from('220 smtp.example ESMTP')]),
  'short-tensor': (stream, id) =>
    finish(stream, [inferResponse('fake', id, [{ ...TENSOR, raw: Buffer.alloc(3) }])]),
  'compressed-unknown': raw(
    (id) => Buffer.concat([Buffer.from([1]), framed(ANSWER(id)).subarray(1)]),
    (stream) => stream.end(),
  ),
  'long-length': raw(
    (id) => Buffer.concat([Buffer.from([0, 0, 1, 0, 0]), ANSWER(id)]),
    (stream) => stream.end(),
  ),
  'huge-length': raw(
    () => Buffer.from([0, 0xff, 0xff, 0xff, 0xff, 1]),
    () => {},
  ),
  large: (stream, id) =>
    finish(stream, [
      inferResponse('fake', id, [
        { name: 'x', datatype: 'UINT8', shape: [200_000], raw: Buffer.alloc(200_000) },
      ]),
    ]),
  endless: (stream) => {
    stream.respond(GRPC_HEADERS)
    stream.write(Buffer.from([0, 0x7f, 0xff, 0xff, 0xff]))
    const more = (): void => {
      while (!stream.destroyed) if (!stream.write(CHUNK)) return void stream.once('drain', more)
    }
    more()
  },
  html200: page({ ':status': 200, 'content-type': 'text/html' }, PAGE),
  html403: page({ ':status': 403, 'content-type': 'text/html' }, PAGE),
  redirect: page({ ':status': 302, location: '/dex/auth?client_id=x' }, ''),
  noroute: page({ ':status': 404, server: 'istio-envoy' }, ''),
  ...Object.fromEntries(
    [408, 413, 429, 500, 501, 502, 503, 504].map((status) => [
      `page${status}`,
      page({ ':status': status, 'content-type': 'text/html' }, PAGE),
    ]),
  ),
  rbac403: refuse(7, 'RBAC: access denied'),
  jwt401: refuse(16, 'Jwt is expired'),
  nohealthy: refuse(14, 'no healthy upstream'),
  notready: refuse(14, 'Request for unknown model is not ready'),
  full: refuse(8, 'Too many requests.'),
  'request-too-large': refuse(8, 'Received message larger than max (9437216 vs. 8388608)'),
  'answer-too-large': refuse(8, 'Sent message larger than max (9437216 vs. 8388608)'),
  'gateway-timeout': refuse(14, 'upstream request timeout'),
  aborted: refuse(10, 'the model was unloaded'),
  late: refuse(4, 'Deadline Exceeded'),
  'cancelled-there': refuse(1, 'CANCELLED'),
  error400: refuse(3, 'unexpected shape for input'),
  error404: refuse(5, 'Model with name x does not exist.'),
  error501: refuse(12, 'Method not implemented'),
  error500: refuse(13, 'Internal server error'),
  'error-after-message': (stream, id) => finish(stream, [ANSWER(id)], 13, 'Internal server error'),
  traceback: refuse(
    2,
    'Traceback (most recent call last):\n  File "/opt/model.py", line 49, in predict\n    x\nValueError: X has 2 features.\n',
  ),
}

/** Names of the models that misbehave. All others answer with one FP32 tensor. */
export const FAULTY_GRPC_MODELS = Object.keys(BEHAVIOURS)

/** A running fake model server over gRPC. */
export class GrpcModelServer {
  readonly url: string
  readonly #server: Http2Server
  readonly #sessions = new Set<ServerHttp2Session>()
  readonly #open = new Map<string, number>()

  private constructor(server: Http2Server) {
    this.#server = server
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    server.on('session', (session) => {
      this.#sessions.add(session)
      session.on('error', () => {})
      session.on('close', () => this.#sessions.delete(session))
    })
    server.on('stream', (stream, headers) => this.#serve(stream, headers))
  }

  /** Starts a server on a free loopback port. */
  static async start(): Promise<GrpcModelServer> {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return new GrpcModelServer(server)
  }

  /** Number of open inferences of a model: those that are not answered, and that the client has not ended. */
  openCalls(model: string): number {
    return this.#open.get(model) ?? 0
  }

  /** Closes all connections and stops listening. */
  async stop(): Promise<void> {
    for (const session of this.#sessions) session.destroy()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }

  #serve(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    const chunks: Buffer[] = []
    stream.on('error', () => {})
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.on('end', () => {
      if (stream.destroyed) return
      const [message] = messagesIn(Buffer.concat(chunks))
      const method = headers[':path']?.split('/').at(-1)
      // A stream may have no request.
      if (message === undefined) return method === 'ModelStreamInfer' ? finish(stream, []) : undefined
      const fields = fieldsOf(message)
      const model = textOf(fields.get(1)?.[0])
      if (method === 'ModelMetadata') finish(stream, [metadataResponse(model, [TENSOR])])
      else if (method === 'ModelReady') finish(stream, [Buffer.from([8, 1])])
      else this.#infer(stream, model, textOf(fields.get(3)?.[0]))
    })
  }

  #infer(stream: ServerHttp2Stream, model: string, id: string): void {
    this.#open.set(model, this.openCalls(model) + 1)
    stream.on('close', () => this.#open.set(model, this.openCalls(model) - 1))
    const behave = BEHAVIOURS[model] ?? ((each) => finish(each, [ANSWER(id)]))
    behave(stream, id)
  }
}

function textOf(field: bigint | Buffer | undefined): string {
  return Buffer.isBuffer(field) ? field.toString() : ''
}

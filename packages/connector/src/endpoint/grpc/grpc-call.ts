// Makes one gRPC call on a connection, with a deadline and support for cancellation.
import {
  constants,
  type ClientHttp2Stream,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2'
import type { Problem } from '@inferwire/protocol'
import type { Deadline } from '../../step.ts'
import { unreachable } from '../http/unreachable.ts'
import { refusalProblem } from '../refusal/refusal-problem.ts'
import { connectionClosed, type GrpcConnection, type Link, type OpenCall } from './grpc-connection.ts'
import { hasServiceTime, readStatus, type GrpcStatus } from './grpc-status.ts'
import {
  brokenCall,
  gatewayAnswer,
  IncompleteResponse,
  invalidFrames,
  neverReady,
  tooLarge,
  tooLargeHeader,
} from './call-problems.ts'
import { FrameError, MessageFrames } from './message-frames.ts'
import type { Frame } from './write-frame.ts'

/** The request to send. */
export interface GrpcCallOptions {
  /** Name of the method. */
  readonly method: string
  /** Names and values, as a flat list. */
  readonly headers: readonly string[]
  /** Undefined = the request has no message. */
  readonly frame: Frame | undefined
  readonly responseBytesMax: number
  readonly deadline: Deadline
  /** Whether to send the deadline. It is not sent for a stream, because its deadline changes. */
  readonly sendsTimeout: boolean
  /** Method and URL, for the operator's log. */
  readonly address: string
  /** Receives each message of the response. An error that it throws ends the call, and rejects the promise. */
  readonly onMessage: (message: Buffer) => void
  /** Called before the promise resolves if the connection has sent the whole request. */
  readonly onSent?: (() => void) | undefined
}

const SERVICE = '/inference.GRPCInferenceService/'
// The same time as for a connection over HTTP.
const CONNECT_TIMEOUT_MS = 2_000
// A response also contains the names and shapes of tensors; the endpoint checks the exact size of the body.
const MESSAGE_OVERHEAD_BYTES = 64 * 1024
// gRPC over HTTP/2: a timeout has at most 8 digits.
const TIMEOUT_MAX_MS = 99_999_999

/**
 * Calls a method, and resolves with the status, whether or not it is OK.
 * @throws Problem if there is no status: `upstream_unreachable`, `upstream_invalid_response`, `response_too_large`, the
 * problem of a gateway's answer, or the deadline's problem
 */
export function callGrpc(connection: GrpcConnection, options: GrpcCallOptions): Promise<GrpcStatus> {
  return new Promise((resolve, reject) => {
    if (options.deadline.problem !== undefined) return reject(options.deadline.problem)
    new GrpcExchange(connection, options, resolve, reject).start()
  })
}

class GrpcExchange implements OpenCall {
  readonly #connection: GrpcConnection
  readonly #options: GrpcCallOptions
  readonly #resolve: (status: GrpcStatus) => void
  readonly #reject: (error: unknown) => void
  readonly #frames: MessageFrames
  readonly #link: Link
  readonly #startedAtMs = performance.now()
  #connectTimer: NodeJS.Timeout | undefined
  #stream: ClientHttp2Stream | undefined
  #headers: IncomingHttpHeaders | undefined
  #status: GrpcStatus | undefined
  /** The problem of an answer that is not from a gRPC server, which ends the call unless a status follows. */
  #gatewayProblem: Problem | undefined
  #error: Error | undefined
  #isOver = false

  constructor(
    connection: GrpcConnection,
    options: GrpcCallOptions,
    resolve: (status: GrpcStatus) => void,
    reject: (error: unknown) => void,
  ) {
    this.#connection = connection
    this.#options = options
    this.#resolve = resolve
    this.#reject = reject
    this.#frames = new MessageFrames(options.responseBytesMax + MESSAGE_OVERHEAD_BYTES)
    this.#link = connection.began(this)
  }

  start(): void {
    const { deadline, address, frame } = this.#options
    deadline.waiting = (problem) => this.#timedOut(problem)
    if (!this.#link.isReady) {
      this.#connectTimer = setTimeout(() => this.#checkConnection(), CONNECT_TIMEOUT_MS)
    }
    let stream: ClientHttp2Stream
    try {
      stream = this.#link.request(this.#requestHeaders())
    } catch (error) {
      return this.#fail(unreachable(error as Error, address, 'unsent'))
    }
    this.#stream = stream
    stream.on('error', (error: Error) => (this.#error = error))
    stream.on('response', (headers) => this.#answered(headers))
    stream.on('trailers', (headers) => this.#trailed(headers))
    stream.on('data', (chunk: Buffer) => this.#received(chunk))
    stream.on('end', () => this.#ended())
    stream.on('close', () => this.#closed())
    send(stream, frame)
  }

  cancel(): void {
    this.#fail(connectionClosed())
  }

  #requestHeaders(): OutgoingHttpHeaders {
    const { headers, deadline, sendsTimeout } = this.#options
    const sent: OutgoingHttpHeaders = {
      ':method': 'POST',
      ':path': SERVICE + this.#options.method,
      'content-type': 'application/grpc',
      te: 'trailers',
    }
    if (sendsTimeout) {
      const timeoutMs = Math.ceil(deadline.atMs - this.#startedAtMs)
      sent['grpc-timeout'] = `${Math.min(Math.max(timeoutMs, 1), TIMEOUT_MAX_MS)}m`
    }
    for (let index = 0; index + 1 < headers.length; index += 2) {
      const name = headers[index]!.toLowerCase()
      // gRPC reserves these names.
      if (!name.startsWith('grpc-')) sent[name] = headers[index + 1]
    }
    return sent
  }

  #answered(headers: IncomingHttpHeaders): void {
    this.#link.answered()
    this.#connection.hasAnswered = true
    this.#headers = headers
    // A response without messages has its status in the headers.
    this.#status = readStatus(headers)
    if (this.#status === undefined) this.#gatewayProblem = gatewayAnswer(headers, this.#options.address)
  }

  #trailed(headers: IncomingHttpHeaders): void {
    const status = readStatus(headers)
    if (status === undefined) return
    // A server's own error has Envoy's fields in the headers that precede the messages.
    const isFromBehind = this.#headers !== undefined && hasServiceTime(this.#headers)
    this.#status = isFromBehind ? { ...status, hasServiceTime: true } : status
  }

  #received(chunk: Buffer): void {
    if (this.#isOver || this.#gatewayProblem !== undefined) return
    this.#link.answered()
    try {
      for (const message of this.#frames.take(chunk)) {
        this.#options.onMessage(message)
        if (this.#isOver) return
      }
    } catch (error) {
      this.#fail(error instanceof FrameError ? this.#frameProblem(error) : error)
    }
  }

  #frameProblem(error: FrameError): Problem {
    const { responseBytesMax, address } = this.#options
    return error.isTooLarge ? tooLarge(responseBytesMax, address) : invalidFrames(address, error.message)
  }

  // The trailers precede the end of the stream.
  #ended(): void {
    if (this.#status !== undefined) this.#finish(this.#status)
  }

  #closed(): void {
    if (this.#isOver) return
    if (this.#status !== undefined) return this.#finish(this.#status)
    this.#fail(this.#gatewayProblem ?? this.#broken())
  }

  #broken(): Problem {
    const { address } = this.#options
    const { rstCode } = this.#stream!
    const error = this.#link.error ?? causeOf(this.#error)
    if (!this.#link.isReady) return neverReady(error, address, this.#connection.hasBeenReady)
    if (!this.#connection.hasAnswered) {
      const problem = tooLargeHeader(rstCode, bytesOf(this.#requestHeaders()), address)
      if (problem !== undefined) return problem
    }
    const hasAnswered = this.#headers !== undefined
    // A response begins with headers. A server that shuts down may reset streams with NO_ERROR before it has answered.
    const isOrderly = hasAnswered && rstCode === constants.NGHTTP2_NO_ERROR && error === undefined
    return isOrderly
      ? new IncompleteResponse(address, 'the response ended without a status')
      : brokenCall(rstCode, error, hasAnswered, address)
  }

  #finish(status: GrpcStatus): void {
    if (this.#isOver) return
    if (status.code === 0 && this.#frames.isPartial) {
      const why = 'the response ended in the middle of a message'
      return this.#fail(new IncompleteResponse(this.#options.address, why))
    }
    this.#end()
    // The server may answer before it has received the whole request.
    if (this.#stream!.writableFinished) this.#options.onSent?.()
    else this.#stream!.close(constants.NGHTTP2_CANCEL)
    this.#resolve(status)
  }

  #timedOut(problem: Problem): void {
    // A server that sends nothing may be gone without having closed the connection. Over HTTP, the end of the call closes
    // its connection. Here, other calls may share the connection, so it stays open for them, and later calls use a new
    // connection.
    if (problem.code === 'deadline_exceeded') this.#connection.replaceSilent(this.#link)
    this.#fail(problem)
  }

  #checkConnection(): void {
    if (this.#link.isReady) return
    this.#connection.replace(this.#link)
    const detail = `${this.#options.address}: no connection after ${CONNECT_TIMEOUT_MS} ms`
    this.#fail(refusalProblem('connect_timeout', { detail }))
  }

  #fail(error: unknown): void {
    if (this.#isOver) return
    // Sends RST_STREAM.
    this.#stream?.close(constants.NGHTTP2_CANCEL)
    this.#end()
    this.#reject(error)
  }

  #end(): void {
    this.#isOver = true
    clearTimeout(this.#connectTimer)
    this.#options.deadline.waiting = undefined
    this.#connection.ended(this)
  }
}

// Corked writes reach the socket together. A single write with `end` saves a frame.
function send(stream: ClientHttp2Stream, frame: Frame = []): void {
  if (frame.length <= 1) return void stream.end(frame[0])
  stream.cork()
  for (const part of frame) stream.write(part)
  stream.end()
}

// RFC 9113 §10.5.1: the limit applies to names and values without compression.
function bytesOf(headers: OutgoingHttpHeaders): number {
  return Object.entries(headers).reduce((sum, [name, value]) => sum + name.length + String(value).length, 0)
}

// If a connection fails, Node.js ends each stream that waits for the connection. The stream's error has the connection's
// error as its cause.
function causeOf(error: Error | undefined): Error | undefined {
  return error?.cause instanceof Error ? error.cause : error
}

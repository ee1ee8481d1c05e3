// Makes one HTTP call to a model server on undici's dispatch layer. The response has a size limit, and the call can be
// cancelled.
import type { IncomingHttpHeaders } from 'node:http'
import { Problem } from '@inferwire/protocol'
import type { Dispatcher } from 'undici'
import type { Deadline } from '../../step.ts'
import { NOT_HTTP, unreachable, type Progress } from './unreachable.ts'
import { UpstreamFailure } from '../upstream-failure.ts'
import type { CallConnection, HttpPool } from './http-pool.ts'

/** A complete HTTP response, not yet judged. */
export interface HttpAnswer {
  readonly status: number
  readonly contentType: string | undefined
  readonly inferenceHeaderContentLength: string | undefined
  readonly retryAfter: string | undefined
  /** The Date field: when the response was created, by the server's clock. */
  readonly date: string | undefined
  readonly location: string | undefined
  readonly wwwAuthenticate: string | undefined
  /** Whether the response has Envoy's upstream service time: such a response came from behind the first proxy. */
  readonly hasUpstreamServiceTime: boolean
  /** Whether the response has Envoy's field for a call that exceeds the limits of an Envoy. */
  readonly isOverloaded: boolean
  /** The coding that the body still has, such as gzip; undefined = none. */
  readonly coding: string | undefined
  readonly body: Uint8Array
  /** Whether the socket has sent the whole request body. A server may answer before it has read the body. */
  readonly isBodySent: boolean
}

/** The request to send, and the limits for its response. */
export interface HttpCallOptions {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly headers: string[]
  readonly body: Buffer | null
  readonly responseBytesMax: number
  readonly deadline: Deadline
  /** Method and URL, for the operator's log. */
  readonly address: string
  /** Called with the head of the response; may return a sink that takes the body as it arrives. */
  readonly open?: OpenBody | undefined
}

/** Returns an object that takes the body; undefined = the body is collected. `head` is the response without its body. */
export type OpenBody = (head: HttpAnswer, control: CallControl) => BodySink | undefined

/** Takes the body of a response as it arrives. */
export interface BodySink {
  /** If this method throws an error, the call ends. */
  data(chunk: Buffer): void
}

/** Ends a call whose body is taken as it arrives. Has no effect on a call that has ended. */
export interface CallControl {
  /** Ends the call with a problem, and closes its connection. */
  fail(problem: Problem): void
  /** Ends the call as if the body were complete, and closes its connection. */
  finish(): void
}

/**
 * Sends a request, and resolves with the result of `finish`, which runs in the turn of the event loop in which the
 * response ends. The response's body is empty if `options.open` took it. An error thrown by `finish` rejects the
 * promise.
 * @throws Problem `upstream_unreachable`, `upstream_invalid_response`, `response_too_large`, or the deadline's problem.
 */
export function callHttp<Result>(
  pool: HttpPool,
  options: HttpCallOptions,
  finish: (answer: HttpAnswer) => Result,
): Promise<Result> {
  return new Promise((resolve, reject) => {
    const problem = options.deadline.problem ?? noConnection(pool, options.address)
    if (problem !== undefined) return reject(problem)
    const exchange = new HttpExchange(pool, options, finish, resolve, reject)
    // The header list is shared between calls; undici does not modify it.
    pool.dispatch(
      { method: options.method, path: options.path, headers: options.headers, body: options.body, exchange },
      exchange,
    )
  })
}

function noConnection({ callsHeld, callsHeldMax }: HttpPool, address: string): Problem | undefined {
  if (callsHeld < callsHeldMax) return undefined
  return new UpstreamFailure(
    'unreachable',
    false,
    'upstream_unreachable',
    'The model server cannot be reached.',
    {
      detail: `${address}: limit reached, ${callsHeld} calls are in flight or waiting for a connection`,
    },
  )
}

// Thrown to make undici drop an unsent call and keep the connection.
const ENDED = new Error('The call ended while it waited for a connection.')

// Closes the connection of a response that continues after the end of its content.
const FINISHED = new Error('The call ended before the end of its response.')

class CutOffError extends Error {
  readonly code = 'CUT_OFF'

  constructor() {
    super(
      'The connection broke, or TLS ended without close_notify, during a response without Content-Length or chunks, so the response may be truncated.',
    )
  }
}

/** The value of `body` for a response without a body. */
export const NO_BODY = new Uint8Array(0)
const NO_HEADERS: IncomingHttpHeaders = {}

class HttpExchange<Result> implements Dispatcher.DispatchHandler, CallControl {
  connection: CallConnection | undefined
  readonly #pool: HttpPool
  readonly #options: HttpCallOptions
  readonly #finish: (answer: HttpAnswer) => Result
  readonly #resolve: (result: Result) => void
  readonly #reject: (error: Error) => void
  #isHeld = true
  #isSent = false
  #isOver = false
  #status = 0
  #headers = NO_HEADERS
  #first: Buffer | undefined
  #rest: Buffer[] | undefined
  #bytes = 0
  #sink: BodySink | undefined

  constructor(
    pool: HttpPool,
    options: HttpCallOptions,
    finish: (answer: HttpAnswer) => Result,
    resolve: (result: Result) => void,
    reject: (error: Error) => void,
  ) {
    this.#pool = pool
    this.#options = options
    this.#finish = finish
    this.#resolve = resolve
    this.#reject = reject
    pool.callsHeld += 1
    options.deadline.waiting = (problem) => this.fail(problem)
  }

  onRequestStart(): void {
    // Aborting would also close the new connection; throwing only ends the call.
    if (this.#isOver) throw ENDED
    this.#isSent = true
    this.connection?.sent()
  }

  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    // Statuses below 200 are interim responses.
    if (status < 100) this.#badStatus(status)
    if (status < 200) return
    this.#pool.hasAnswered = true
    this.#status = status
    this.#headers = headers
    this.#sink = this.#options.open?.(answerOf(status, headers, NO_BODY, false), this)
    if (this.#sink !== undefined) return
    if (Number(headers['content-length']) > this.#options.responseBytesMax) this.#tooLarge()
  }

  onResponseData(_: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#isOver) return
    if (this.#sink !== undefined) return this.#pass(chunk, this.#sink)
    this.#bytes += chunk.length
    if (this.#bytes > this.#options.responseBytesMax) this.#tooLarge()
    else if (this.#first === undefined) this.#first = chunk
    else (this.#rest ??= [this.#first]).push(chunk)
  }

  onResponseEnd(): void {
    this.#release()
    // After an exception, uvicorn (KServe, MLServer) closes the connection without announcing it, a few milliseconds
    // after the response. A call that is sent before the close would fail, although the model may have run.
    if (this.#status === 500) this.connection?.retire()
    if (this.#isOver) return
    this.#end()
    // RFC 9112 §8, §9.8: without a length or chunks, only an orderly close proves that the body is complete.
    if (this.connection?.isCutOff === true && isEndedByClose(this.#status, this.#headers)) {
      return this.#reject(unreachable(new CutOffError(), this.#options.address, this.#progress))
    }
    this.#settle()
  }

  #settle(): void {
    const body = this.#rest === undefined ? (this.#first ?? NO_BODY) : Buffer.concat(this.#rest, this.#bytes)
    const answer = answerOf(this.#status, this.#headers, body, this.connection?.hasSentAll ?? false)
    this.#headers = NO_HEADERS
    try {
      this.#resolve(this.#finish(answer))
    } catch (error) {
      this.#reject(error as Error)
    }
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error): void {
    this.#release()
    if (this.#isOver) return
    this.#end()
    this.#reject(unreachable(error, this.#options.address, this.#progress, this.#pool.hasAnswered))
  }

  #pass(chunk: Buffer, sink: BodySink): void {
    try {
      sink.data(chunk)
    } catch (error) {
      this.fail(Problem.from(error))
    }
  }

  get #progress(): Progress {
    if (!this.#isSent) return 'unsent'
    return this.#status === 0 ? 'sent' : 'answering'
  }

  // The parser accepts any three digits. RFC 9110 §15: a status below 100 is invalid.
  #badStatus(status: number): void {
    this.fail(
      new Problem('upstream_invalid_response', NOT_HTTP, {
        detail: `${this.#options.address}: status ${status}`,
      }),
    )
  }

  #tooLarge(): void {
    this.fail(
      new Problem(
        'response_too_large',
        `The model server's response is larger than ${this.#options.responseBytesMax} bytes.`,
        {
          detail: `${this.#options.address}. To allow larger responses, raise models.*.limits.responseBytesMax.`,
        },
      ),
    )
  }

  fail(problem: Problem): void {
    if (this.#isOver) return
    this.#end()
    // Free the received bytes, because undici may hold this exchange for a while.
    this.#first = this.#rest = undefined
    // A call in flight ends now, with its socket. An unsent call remains in undici's queue until it gets a connection.
    if (this.#isSent) {
      this.#release()
      this.connection?.breakOff(problem)
    }
    this.#reject(problem)
  }

  finish(): void {
    if (this.#isOver) return
    this.#end()
    this.#release()
    this.connection?.breakOff(FINISHED)
    this.#settle()
  }

  #release(): void {
    if (this.#isHeld) this.#pool.callsHeld -= 1
    this.#isHeld = false
  }

  #end(): void {
    this.#isOver = true
    this.#sink = undefined
    this.#options.deadline.waiting = undefined
  }
}

function isEndedByClose(status: number, headers: IncomingHttpHeaders): boolean {
  if (status === 204 || status === 304) return false
  const transferCodings = [headers['transfer-encoding'] ?? []].flat().join()
  return headers['content-length'] === undefined && !/chunked\s*$/i.test(transferCodings)
}

function answerOf(
  status: number,
  headers: IncomingHttpHeaders,
  body: Uint8Array,
  isBodySent: boolean,
): HttpAnswer {
  return {
    status,
    contentType: firstOf(headers['content-type']),
    inferenceHeaderContentLength: firstOf(headers['inference-header-content-length']),
    retryAfter: firstOf(headers['retry-after']),
    date: firstOf(headers.date),
    location: firstOf(headers.location),
    wwwAuthenticate: firstOf(headers['www-authenticate']),
    hasUpstreamServiceTime: headers['x-envoy-upstream-service-time'] !== undefined,
    isOverloaded: headers['x-envoy-overloaded'] !== undefined,
    coding: codingOf(headers['content-encoding'], headers['transfer-encoding']),
    body,
    isBodySent,
  }
}

// Content codings are in RFC 9110 §8.4, transfer codings in RFC 9112 §6.1. The HTTP parser decodes `chunked`;
// `identity` means no coding.
function codingOf(
  content: string | string[] | undefined,
  transfer: string | string[] | undefined,
): string | undefined {
  if (content === undefined && (transfer === undefined || transfer === 'chunked')) return undefined
  const names = [content ?? [], transfer ?? []]
    .flat()
    .join()
    .toLowerCase()
    .split(/[\s,]+/)
  return names.find((name) => name !== '' && name !== 'identity' && name !== 'chunked')
}

// undici returns a list if a header field occurs several times.
function firstOf(value: string | string[] | undefined): string | undefined {
  return typeof value === 'object' ? value[0] : value
}

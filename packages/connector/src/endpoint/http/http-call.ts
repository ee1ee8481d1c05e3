// One HTTP exchange with a model server, on undici's dispatch layer: bytes out, bytes in, bounded, stoppable.
import type { IncomingHttpHeaders } from 'node:http'
import { Problem } from '@inferwire/protocol'
import type { Dispatcher } from 'undici'
import type { Deadline } from '../../step.ts'
import { NOT_HTTP, unreachable, type Progress } from './unreachable.ts'
import { UpstreamFailure } from '../upstream-failure.ts'
import type { CallConnection, HttpPool } from './http-pool.ts'

/** What a server answered, before anybody judged it. */
export interface HttpAnswer {
  readonly status: number
  readonly contentType: string | undefined
  readonly inferenceHeaderContentLength: string | undefined
  readonly retryAfter: string | undefined
  /** When it was made, by the server's clock. */
  readonly date: string | undefined
  readonly location: string | undefined
  readonly wwwAuthenticate: string | undefined
  /** Envoy's mark that the answer came from behind the first proxy. */
  readonly hasUpstreamServiceTime: boolean
  /** What the body is still encoded with, such as gzip; undefined = with nothing. */
  readonly coding: string | undefined
  readonly body: Uint8Array
}

/** What is sent. */
export interface HttpCallOptions {
  readonly method: 'GET' | 'POST'
  /** Fixed when the endpoint was made. */
  readonly path: string
  readonly headers: string[]
  readonly body: Buffer | null
  readonly responseBytesMax: number
  readonly deadline: Deadline
  /** For the operator's log: where this goes. */
  readonly address: string
}

/**
 * `finish` makes the result of the answer, in the same turn of the event loop; what it throws is thrown.
 * @throws Problem `upstream_unreachable`, `upstream_invalid_response`, `response_too_large`, or what the deadline
 * says when it passes.
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
    // undici takes a reusable header list; it does not change it.
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
      detail: `${address}: ${callsHeld} calls run or still wait for their connection; no more are made`,
    },
  )
}

// Tells undici to drop a call before it is sent, and to keep the connection.
const ENDED = new Error('The call ended while it waited for a connection.')

class CutOffError extends Error {
  readonly code = 'CUT_OFF'

  constructor() {
    super(
      'The connection broke, or ended over TLS without close_notify, before an answer that has neither Content-Length nor chunks was known to be whole.',
    )
  }
}

/** Of an answer that has none. */
export const NO_BODY = new Uint8Array(0)
const NO_HEADERS: IncomingHttpHeaders = {}

class HttpExchange<Result> implements Dispatcher.DispatchHandler {
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
    options.deadline.waiting = (problem) => this.#fail(problem)
  }

  onRequestStart(): void {
    // Its abort would end the new connection with the call; what is thrown ends the call only.
    if (this.#isOver) throw ENDED
    this.#isSent = true
    this.connection?.sent()
  }

  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    // 1xx answers come before the real one.
    if (status < 100) this.#badStatus(status)
    if (status < 200) return
    this.#status = status
    this.#headers = headers
    if (Number(headers['content-length']) > this.#options.responseBytesMax) this.#tooLarge()
  }

  onResponseData(_: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#isOver) return
    this.#bytes += chunk.length
    if (this.#bytes > this.#options.responseBytesMax) this.#tooLarge()
    else if (this.#first === undefined) this.#first = chunk
    else (this.#rest ??= [this.#first]).push(chunk)
  }

  onResponseEnd(): void {
    this.#release()
    if (this.#isOver) return
    this.#end()
    // RFC 9112 §8, §9.8: without a length and without chunks, only an orderly end says that the body is whole.
    if (this.connection?.isCutOff === true && isEndedByClose(this.#status, this.#headers)) {
      return this.#reject(unreachable(new CutOffError(), this.#options.address, this.#progress))
    }
    const body = this.#rest === undefined ? (this.#first ?? NO_BODY) : Buffer.concat(this.#rest, this.#bytes)
    const answer = answerOf(this.#status, this.#headers, body)
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
    this.#reject(unreachable(error, this.#options.address, this.#progress))
  }

  get #progress(): Progress {
    if (!this.#isSent) return 'unsent'
    return this.#status === 0 ? 'sent' : 'answering'
  }

  // The parser reads any three digits. RFC 9110 §15: there is nothing below 100.
  #badStatus(status: number): void {
    this.#fail(
      new Problem('upstream_invalid_response', NOT_HTTP, {
        detail: `${this.#options.address}: status ${status}`,
      }),
    )
  }

  #tooLarge(): void {
    this.#fail(
      new Problem(
        'response_too_large',
        `The answer of the model server is larger than ${this.#options.responseBytesMax} bytes.`,
        { detail: `from ${this.#options.address}; models.*.limits.responseBytesMax` },
      ),
    )
  }

  #fail(problem: Problem): void {
    if (this.#isOver) return
    this.#end()
    // Release the part of the answer that was received: undici may hold this exchange for a while.
    this.#first = this.#rest = undefined
    // The socket is closed in this turn of the event loop; a call that was not sent stays until it has a connection.
    if (this.#isSent) {
      this.#release()
      this.connection?.breakOff(problem)
    }
    this.#reject(problem)
  }

  #release(): void {
    if (this.#isHeld) this.#pool.callsHeld -= 1
    this.#isHeld = false
  }

  #end(): void {
    this.#isOver = true
    this.#options.deadline.waiting = undefined
  }
}

function isEndedByClose(status: number, headers: IncomingHttpHeaders): boolean {
  if (status === 204 || status === 304) return false
  const transferCodings = [headers['transfer-encoding'] ?? []].flat().join()
  return headers['content-length'] === undefined && !/chunked\s*$/i.test(transferCodings)
}

function answerOf(status: number, headers: IncomingHttpHeaders, body: Uint8Array): HttpAnswer {
  return {
    status,
    contentType: firstOf(headers['content-type']),
    inferenceHeaderContentLength: firstOf(headers['inference-header-content-length']),
    retryAfter: firstOf(headers['retry-after']),
    date: firstOf(headers.date),
    location: firstOf(headers.location),
    wwwAuthenticate: firstOf(headers['www-authenticate']),
    hasUpstreamServiceTime: headers['x-envoy-upstream-service-time'] !== undefined,
    coding: codingOf(headers['content-encoding'], headers['transfer-encoding']),
    body,
  }
}

// RFC 9110 §8.4: what a server did to the content; RFC 9112 §6.1: what it did to the message. `chunked` is taken off by
// the HTTP parser; `identity` is the name for nothing.
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

// A header that came twice is a list.
function firstOf(value: string | string[] | undefined): string | undefined {
  return typeof value === 'object' ? value[0] : value
}

// One HTTP exchange with a model server, on undici's dispatch layer: bytes out, bytes in, bounded, stoppable.
import { Problem } from '@inferwire/protocol'
import type { Dispatcher } from 'undici'
import type { Deadline } from '../step.ts'
import { unreachable } from './unreachable.ts'

/** What a server answered, before anybody judged it. */
export interface HttpAnswer {
  readonly status: number
  readonly contentType: string | undefined
  readonly inferenceHeaderContentLength: string | undefined
  readonly retryAfter: string | undefined
  readonly location: string | undefined
  readonly wwwAuthenticate: string | undefined
  /** Envoy's mark that the answer came from behind the first proxy. */
  readonly hasUpstreamServiceTime: boolean
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
 * @throws Problem `upstream_unreachable`, `upstream_invalid_response`, `response_too_large`, or what the deadline
 * says when it passes.
 */
export function callHttp(dispatcher: Dispatcher, options: HttpCallOptions): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const exchange = new HttpExchange(options, resolve, reject)
    // undici takes a reusable header list; it does not change it.
    dispatcher.dispatch(
      { method: options.method, path: options.path, headers: options.headers, body: options.body },
      exchange,
    )
  })
}

const NO_BODY = new Uint8Array(0)

// undici 7's own handler shape: raw header buffers and no controller objects, which is what makes dispatch cheap.
class HttpExchange implements Dispatcher.DispatchHandler {
  readonly #options: HttpCallOptions
  readonly #resolve: (answer: HttpAnswer) => void
  readonly #reject: (error: Error) => void
  #abort: ((error?: Error) => void) | undefined
  #isOver = false
  #status = 0
  #headers: readonly Buffer[] = []
  #first: Buffer | undefined
  #rest: Buffer[] | undefined
  #bytes = 0

  constructor(
    options: HttpCallOptions,
    resolve: (answer: HttpAnswer) => void,
    reject: (error: Error) => void,
  ) {
    this.#options = options
    this.#resolve = resolve
    this.#reject = reject
    const { deadline } = options
    if (deadline.problem !== undefined) this.#fail(deadline.problem)
    else deadline.waiting = (problem) => this.#fail(problem)
  }

  onConnect(abort: (error?: Error) => void): void {
    this.#abort = abort
    // Stopped while it waited for a connection.
    if (this.#isOver) abort()
  }

  onHeaders(status: number, headers: Buffer[]): boolean {
    // 1xx answers come before the real one.
    if (status < 200) return true
    this.#status = status
    this.#headers = headers
    const length = headerValue(headers, 'content-length')
    if (length !== undefined && Number(length) > this.#options.responseBytesMax) this.#tooLarge()
    return true
  }

  onData(chunk: Buffer): boolean {
    if (this.#isOver) return true
    this.#bytes += chunk.length
    if (this.#bytes > this.#options.responseBytesMax) {
      this.#tooLarge()
      return true
    }
    if (this.#first === undefined) this.#first = chunk
    else (this.#rest ??= [this.#first]).push(chunk)
    return true
  }

  onComplete(): void {
    if (this.#isOver) return
    this.#end()
    const headers = this.#headers
    this.#resolve({
      status: this.#status,
      contentType: headerValue(headers, 'content-type'),
      inferenceHeaderContentLength: headerValue(headers, 'inference-header-content-length'),
      retryAfter: headerValue(headers, 'retry-after'),
      location: headerValue(headers, 'location'),
      wwwAuthenticate: headerValue(headers, 'www-authenticate'),
      hasUpstreamServiceTime: headerValue(headers, 'x-envoy-upstream-service-time') !== undefined,
      body: this.#rest === undefined ? (this.#first ?? NO_BODY) : Buffer.concat(this.#rest, this.#bytes),
    })
  }

  onError(error: Error): void {
    if (this.#isOver) return
    this.#end()
    this.#reject(unreachable(error, this.#options.address, this.#status !== 0))
  }

  onUpgrade(): void {
    this.#fail(new Problem('upstream_invalid_response', 'The model server tried to change the protocol.'))
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
    this.#abort?.(problem)
    this.#reject(problem)
  }

  #end(): void {
    this.#isOver = true
    this.#options.deadline.waiting = undefined
  }
}

// Header names come as sent; a length check first, because this runs for every answer.
function headerValue(headers: readonly Buffer[], name: string): string | undefined {
  for (let index = 0; index + 1 < headers.length; index += 2) {
    const candidate = headers[index]!
    if (candidate.length === name.length && candidate.toString('latin1').toLowerCase() === name) {
      return headers[index + 1]!.toString('latin1')
    }
  }
  return undefined
}

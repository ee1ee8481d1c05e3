// The HTTP endpoint of one operation in any dialect. Its path is built once, from the configuration.
import type { Route } from '@inferwire/protocol'
import type { Endpoint, EndpointRequest, EndpointResponse } from '../../step.ts'
import { callHttp, type HttpAnswer, type HttpCallOptions, type OpenBody } from './http-call.ts'
import type { ErrorText } from '../error-text.ts'
import type { ServiceTime } from '../refusal/service-time.ts'
import type { StreamLimits } from '../stream-clock.ts'
import type { CallCredential } from '../upstream-options.ts'
import type { HttpPool } from './http-pool.ts'
import { judgeAnswer, mayHaveRun, type Asked } from './judge-answer.ts'
import { withFreshToken } from './with-fresh-token.ts'

/** The data that all operations of one model on one server share. */
export interface HttpTarget {
  readonly pool: HttpPool
  /** Scheme, host and port to connect to. */
  readonly origin: string
  /** Path of the base URL, without a trailing slash. */
  readonly pathPrefix: string
  /** The Host to send, if it differs from the origin's (Istio gateways route by it). */
  readonly host: string | undefined
  readonly credential: CallCredential
  /** Whether it is safe to run the model twice for one request. */
  readonly isRepeatable: boolean
  readonly responseBytesMax: number
  readonly stream: StreamLimits
  /** How much of the server's error text is sent to clients. */
  readonly errorText: ErrorText
  /** What the server's answers have shown about Envoys in front of it. */
  readonly serviceTime: ServiceTime
}

/** RFC 9110 §12.5.3: without this field a server may use any content coding. */
export const IDENTITY_ONLY: readonly string[] = ['accept-encoding', 'identity']

/** Calls one operation of a model: a method and a path. */
export class HttpEndpoint implements Endpoint {
  readonly #target: HttpTarget
  readonly #method: Route['method']
  readonly #path: string
  readonly #address: string
  readonly #jsonHeaders: string[]
  readonly #asked: Asked
  readonly #judge = (answer: HttpAnswer): EndpointResponse => judgeAnswer(answer, this.#address, this.#asked)

  constructor(target: HttpTarget, { method, path }: Route, isReadiness = false) {
    this.#target = target
    const { errorText, serviceTime } = target
    this.#asked = { host: target.host, isReadiness, errorText, serviceTime }
    this.#method = method
    this.#path = target.pathPrefix + path
    this.#address = `${method} ${target.origin}${this.#path}`
    const host = target.host === undefined ? [] : ['host', target.host]
    const always = [...host, ...IDENTITY_ONLY]
    // KServe's V1 treats any other value as raw bytes, even one with "; charset=utf-8".
    this.#jsonHeaders = method === 'POST' ? [...always, 'content-type', 'application/json'] : always
  }

  /** Method and URL, for the operator's log. */
  get address(): string {
    return this.#address
  }

  call(request: EndpointRequest): Promise<EndpointResponse> {
    return this.exchange(request, this.#judge)
  }

  /** Interprets a response whose body was collected. @throws Problem for everything except a successful response */
  judge(answer: HttpAnswer): EndpointResponse {
    return this.#judge(answer)
  }

  /** Sends the request, and returns the result of `finish`. With `open`, the body can be taken as it arrives. */
  exchange<Result>(
    request: EndpointRequest,
    finish: (answer: HttpAnswer) => Result,
    open?: OpenBody,
  ): Promise<Result> {
    return this.#target.credential.refresh === undefined
      ? this.#ask(request, finish, open)
      : this.#askTwice(request, finish, open)
  }

  async #askTwice<Result>(
    request: EndpointRequest,
    finish: (answer: HttpAnswer) => Result,
    open: OpenBody | undefined,
  ): Promise<Result> {
    const { credential, origin, isRepeatable } = this.#target
    const isSafe = isRepeatable || this.#method === 'GET'
    const answer = await withFreshToken({
      credential,
      origin,
      deadline: request.deadline,
      send: (proof) => this.#send(request, proof, (whole) => whole, open),
      mayRepeat: (first) => isSafe || !mayHaveRun(first, this.#address, this.#asked),
    })
    return finish(answer)
  }

  #ask<Result>(
    request: EndpointRequest,
    finish: (answer: HttpAnswer) => Result,
    open: OpenBody | undefined,
  ): Promise<Result> {
    const { credential, origin } = this.#target
    try {
      const proof = credential.headers(origin, request.deadline)
      // Most credentials are synchronous; calling at once saves a turn of the event loop.
      if (!isPromise(proof)) return this.#send(request, proof, finish, open)
      return proof.then((headers) => this.#send(request, headers, finish, open))
    } catch (error) {
      return Promise.reject(error)
    }
  }

  #send<Result>(
    request: EndpointRequest,
    proof: readonly string[],
    finish: (answer: HttpAnswer) => Result,
    open: OpenBody | undefined,
  ): Promise<Result> {
    return callHttp(this.#target.pool, this.#options(request, proof, open), finish)
  }

  #options(request: EndpointRequest, proof: readonly string[], open: OpenBody | undefined): HttpCallOptions {
    return {
      method: this.#method,
      path: this.#path,
      headers: this.#headers(request, proof),
      body: this.#method === 'POST' ? request.body : null,
      responseBytesMax: this.#target.responseBytesMax,
      deadline: request.deadline,
      address: this.#address,
      open,
    }
  }

  #headers(request: EndpointRequest, proof: readonly string[]): string[] {
    const isPlain = request.contentType === 'application/json' || this.#method === 'GET'
    if (isPlain && proof.length === 0 && request.headers.length === 0) return this.#jsonHeaders
    const headers = [...this.#jsonHeaders, ...proof, ...request.headers]
    if (!isPlain) {
      headers[headers.indexOf('content-type') + 1] = request.contentType
      const { inferenceHeaderContentLength: length } = request
      if (length !== undefined) headers.push('inference-header-content-length', length)
    }
    return headers
  }
}

function isPromise(
  value: readonly string[] | Promise<readonly string[]>,
): value is Promise<readonly string[]> {
  return !Array.isArray(value)
}

// An endpoint over HTTP: what V1 and V2 share. Paths are made once, from configuration.
import type { Endpoint, EndpointRequest, EndpointResponse } from '../../step.ts'
import { callHttp, type HttpAnswer, type HttpCallOptions } from './http-call.ts'
import { judgeAnswer } from './judge-answer.ts'
import type { HttpPool } from './http-pool.ts'

/** How an endpoint proves who we are; see the credential room. */
export interface CallCredential {
  /** Header list for a call to this origin. */
  headers(origin: string): readonly string[] | Promise<readonly string[]>
  /** Reads the secret again; true when it changed, so that one more try makes sense. */
  refresh?(): boolean | Promise<boolean>
}

/** What all operations of one model server's model have in common. */
export interface HttpUpstream {
  readonly dispatcher: HttpPool
  /** Scheme, host and port that we connect to. */
  readonly origin: string
  /** Path before `/v1` or `/v2`, without a trailing slash. */
  readonly pathPrefix: string
  /** The Host to send where it differs from the address (Istio gateways route by it). */
  readonly host: string | undefined
  readonly credential: CallCredential
  readonly responseBytesMax: number
}

/** One operation: a method and a path. */
export class HttpEndpoint implements Endpoint {
  readonly #upstream: HttpUpstream
  readonly #method: 'GET' | 'POST'
  readonly #path: string
  readonly #address: string
  readonly #jsonHeaders: string[]
  readonly #judge = (answer: HttpAnswer): EndpointResponse => judgeAnswer(answer, this.#address)

  constructor(upstream: HttpUpstream, method: 'GET' | 'POST', path: string) {
    this.#upstream = upstream
    this.#method = method
    this.#path = upstream.pathPrefix + path
    this.#address = `${method} ${upstream.origin}${this.#path}`
    const host = upstream.host === undefined ? [] : ['host', upstream.host]
    // Exactly this value: KServe's V1 takes anything else, "; charset=utf-8" included, for raw bytes.
    this.#jsonHeaders = method === 'POST' ? [...host, 'content-type', 'application/json'] : host
  }

  call(request: EndpointRequest): Promise<EndpointResponse> {
    return this.#upstream.credential.refresh === undefined
      ? this.#ask(request, this.#judge)
      : this.#askTwice(request)
  }

  // A rotated token: read it again, and try once more only if it did change.
  async #askTwice(request: EndpointRequest): Promise<EndpointResponse> {
    const first = await this.#ask(request, (answer) => answer)
    const isRefused = first.status === 401 || first.status === 403
    const mayTryAgain = isRefused && (await this.#upstream.credential.refresh!())
    return mayTryAgain ? this.#ask(request, this.#judge) : this.#judge(first)
  }

  #ask<Result>(request: EndpointRequest, finish: (answer: HttpAnswer) => Result): Promise<Result> {
    const { dispatcher, credential, origin } = this.#upstream
    try {
      const proof = credential.headers(origin)
      // The usual credential answers at once, and costs no turn of the event loop.
      if (!isPromise(proof)) return callHttp(dispatcher, this.#options(request, proof), finish)
      return proof.then((headers) => callHttp(dispatcher, this.#options(request, headers), finish))
    } catch (error) {
      return Promise.reject(error)
    }
  }

  #options(request: EndpointRequest, proof: readonly string[]): HttpCallOptions {
    return {
      method: this.#method,
      path: this.#path,
      headers: this.#headers(request, proof),
      body: this.#method === 'POST' ? request.body : null,
      responseBytesMax: this.#upstream.responseBytesMax,
      deadline: request.deadline,
      address: this.#address,
    }
  }

  #headers(request: EndpointRequest, proof: readonly string[]): string[] {
    const isPlain = request.contentType === 'application/json' || this.#method === 'GET'
    if (isPlain && proof.length === 0 && request.headers.length === 0) return this.#jsonHeaders
    const headers = [...this.#jsonHeaders, ...proof, ...request.headers]
    if (!isPlain) {
      headers[headers.indexOf('content-type') + 1] = request.contentType
      headers.push('inference-header-content-length', request.inferenceHeaderContentLength ?? '0')
    }
    return headers
  }
}

function isPromise(
  value: readonly string[] | Promise<readonly string[]>,
): value is Promise<readonly string[]> {
  return !Array.isArray(value)
}

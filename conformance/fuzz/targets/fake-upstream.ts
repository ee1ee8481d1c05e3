// A connection pool without a network: records requests and returns configured responses.
import type { IncomingHttpHeaders } from 'node:http'
import type { OperationName, Dialect } from '@inferwire/protocol'
import { HttpUpstream, type HttpTarget } from '../../../packages/connector/src/endpoint/index.ts'
import { ServiceTime } from '../../../packages/connector/src/internal.ts'
import type { Endpoint, EndpointRequest } from '../../../packages/connector/src/step.ts'

/** A request that an endpoint sends through the pool. */
export interface Sent {
  readonly method: string
  readonly path: string
  readonly headers: readonly string[]
  readonly body: Buffer | null
}

/** A response of the model server. */
export interface FakeAnswer {
  readonly status: number
  /** Alternating names and values. */
  readonly headers: readonly Buffer[]
  readonly body: readonly Buffer[]
}

/** The handler that undici calls. */
interface Handler {
  onRequestStart(): void
  onResponseStart(controller: undefined, status: number, headers: IncomingHttpHeaders): void
  onResponseData(controller: undefined, chunk: Buffer): void
  onResponseEnd(): void
}

/** A minimal request. */
export const JSON_REQUEST: EndpointRequest = {
  body: Buffer.from('{}'),
  contentType: 'application/json',
  inferenceHeaderContentLength: undefined,
  headers: [],
  deadline: { atMs: Number.POSITIVE_INFINITY, problem: undefined, waiting: undefined },
  emit: undefined,
}

/** A connection pool without a network. */
export class FakeUpstream {
  last: Sent | undefined
  /** The response; undefined = the server never responds. */
  answer: FakeAnswer | undefined
  /** The response to GET requests, if it differs from `answer`. */
  answerToGet: FakeAnswer | undefined
  readonly #target: HttpTarget

  constructor(responseBytesMax = 1 << 20) {
    const pool = {
      callsHeld: 0,
      hasAnswered: true,
      callsHeldMax: Number.POSITIVE_INFINITY,
      dispatch: (sent: Sent, handler: Handler) => {
        this.last = sent
        const answer = sent.method === 'GET' ? (this.answerToGet ?? this.answer) : this.answer
        if (answer !== undefined) reply(answer, handler)
        return true
      },
    }
    this.#target = {
      pool: pool as unknown as HttpTarget['pool'],
      origin: 'http://h',
      pathPrefix: '/prefix',
      host: undefined,
      credential: { headers: () => ['authorization', 'Bearer canary'] },
      isRepeatable: true,
      responseBytesMax,
      stream: { idleTimeoutMs: 1_000, timeoutMs: 10_000, coalesceMs: 0 },
      errorText: 'first-line',
      serviceTime: new ServiceTime(),
    }
  }

  /** Returns the endpoint of a model with this name on the server. */
  endpoint(operation: OperationName, dialect: Dialect, model: string, version?: string): Endpoint {
    return new HttpUpstream(this.#target, model, [dialect]).endpoint(operation, dialect, version)!
  }
}

function reply({ status, headers, body }: FakeAnswer, handler: Handler): void {
  handler.onRequestStart()
  handler.onResponseStart(undefined, status, headersOf(headers))
  for (const chunk of body) handler.onResponseData(undefined, chunk)
  handler.onResponseEnd()
}

// Returns headers as undici passes them: names in lower case, values as Latin-1, repeated names as lists.
function headersOf(raw: readonly Buffer[]): IncomingHttpHeaders {
  const headers: Record<string, string | string[]> = Object.create(null) as Record<string, string | string[]>
  for (let index = 0; index < raw.length; index += 2) {
    const name = raw[index]!.toString('latin1').toLowerCase()
    const value = raw[index + 1]!.toString('latin1')
    const before = headers[name]
    if (before === undefined) headers[name] = value
    else if (typeof before === 'string') headers[name] = [before, value]
    else before.push(value)
  }
  return headers
}

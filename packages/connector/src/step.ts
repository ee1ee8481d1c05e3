// What the steps of the pipeline hand to each other. Rooms import these types, never one another.
import type { InferenceProtocol, OperationName, Problem } from '@inferwire/protocol'
import type { OperationFigures } from './telemetry/index.ts'

/** Content types that travel to a model server. */
export type RequestContentType = 'application/json' | 'application/octet-stream'

/** A model as this connector exposes it. */
export interface ExposedModel {
  /** The name on the topics, `{name}` or `{name}@{version}`. */
  readonly name: string
  readonly operations: ReadonlyMap<string, BoundOperation>
  readonly defaultOperation: BoundOperation
  /** Deadline of a request that names none, and the longest that one may name, in milliseconds. */
  readonly timeoutMs: number
  readonly requestBytesMax: number
  /** User properties that become HTTP headers, exact lower-case names. */
  readonly passHeaders: ReadonlySet<string>
  /** False: what may have been executed is not executed again, but answered `maybe_executed`. */
  readonly repeatable: boolean
  readonly gate: Gate
}

/** One operation of one model, bound to the endpoint that answers it. */
export interface BoundOperation {
  readonly name: OperationName
  readonly protocol: InferenceProtocol
  readonly hasBody: boolean
  readonly endpoint: Endpoint
  readonly figures: OperationFigures
}

/** Asks one model server one thing. The path is fixed when the endpoint is made; no request can change it. */
export interface Endpoint {
  /** Why a call would fail at once; asked before a request waits for its turn. */
  refusal?(): Problem | undefined
  /** @throws Problem for everything but a good answer. */
  call(request: EndpointRequest): Promise<EndpointResponse>
}

/** What an endpoint sends. */
export interface EndpointRequest {
  readonly body: Buffer
  readonly contentType: RequestContentType
  /** The V2 binary tensor extension's length of the JSON part, in bytes. */
  readonly inferenceHeaderContentLength: string | undefined
  /** Further headers, already judged: flat name/value list. */
  readonly headers: readonly string[]
  readonly deadline: Deadline
}

/** A good answer of a model server. */
export interface EndpointResponse {
  readonly status: number
  readonly body: Uint8Array
  readonly contentType: string
  readonly inferenceHeaderContentLength: string | undefined
}

/**
 * When a request must be over. The one stop signal of a request, from the queue down to the socket: an
 * `AbortSignal` in spirit, without its cost per request.
 */
export interface Deadline {
  /** Monotonic clock, milliseconds. */
  readonly atMs: number
  /** Set once the deadline has passed or the request was stopped. */
  readonly problem: Problem | undefined
  /** Who is waiting now; it is called at most once, and replaced by the next wait. */
  waiting: ((problem: Problem) => void) | undefined
}

/** Bounds how many requests of one model run and wait. */
export interface Gate {
  /** Undefined = run now; a promise = waiting for a turn. @throws Problem `overloaded`, `deadline_exceeded`. */
  enter(client: string, bytes: number, deadline: Deadline): Promise<void> | undefined
  /** Gives the turn to the next one. Must be called once, with the same bytes, for each `enter` that let a request in. */
  leave(bytes: number): void
}

/** Where an answer goes. */
export interface ReplyTarget {
  readonly topic: string
  readonly correlationData: Uint8Array | undefined
  readonly qos: 0 | 1
}

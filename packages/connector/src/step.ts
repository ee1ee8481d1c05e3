// What the steps of the pipeline hand to each other. Rooms import these types, never one another.
import type {
  Dialect,
  MessageProperties,
  OperationName,
  Problem,
  QoS,
  TensorMetadata,
} from '@inferwire/protocol'
import type { OperationFigures } from './telemetry/index.ts'

/** A received PUBLISH with the duty to settle it. The session makes them; a step needs no other word of MQTT. */
export interface Delivery {
  readonly topic: string
  /** Empty after `release`. */
  readonly payload: Buffer
  /** Size on the wire. */
  readonly payloadBytes: number
  /** Size of the properties on the wire. */
  readonly propertyBytes: number
  /** False when it was above the limit and dropped while it was received. */
  readonly isWhole: boolean
  readonly qos: QoS
  readonly retain: boolean
  /** The broker sent it before. A hint, never a key (MQTT 5 §3.3.1.1). */
  readonly dup: boolean
  readonly packetId: number
  readonly properties: MessageProperties
  /** Monotonic clock, milliseconds (`performance.now()`). */
  readonly receivedAtMs: number
  /** Its payload and properties were dropped. */
  readonly isReleased: boolean
  /** The connection on which it came has ended: it cannot be acknowledged, and the broker may redeliver it. */
  readonly isLost: boolean
  /** Of a lost delivery: resolves when the broker must have redelivered it. Undefined: there is nothing to wait for. */
  readonly redelivery: Promise<void> | undefined
  /** Takes an equal payload in place of its own: a repetition that waits for the answer to the first one holds no copy. */
  sharePayload(payload: Buffer): void
  /** Drops payload and properties: a long wait for an acknowledgement must not hold them. */
  release(): void
  /** Ends the duty: the PUBACK may leave, on the connection on which the PUBLISH came. Idempotent. */
  settle(): void
}

/** Finds out what a delivery asks for and where its answer goes. One per kind of topic; the first that knows it wins. */
export interface Router {
  /** The topic filters that the session subscribes to for it. */
  filters(): readonly string[]
  /** Undefined: not a request of this router, or one whose sender cannot be addressed. Never throws. */
  route(delivery: Delivery): Routing | undefined
}

/** What a router finds out about a request. */
export type Routing = Routed | Misrouted | LeftToPeer | Undecided

/** A request for a model of another connector, which received it too and answers it. */
export interface LeftToPeer {
  readonly peer: string
}

/** It is not known yet whether another connector answers: it is to be routed again. */
export interface Undecided {
  readonly until: Promise<void>
}

/** A request whose model and operation are known. */
export interface Routed {
  /** The client's identity, as the broker's ACL proves it. */
  readonly client: string
  readonly model: ExposedModel
  readonly operation: BoundOperation
  /** What the client appended to the topic, slashes included. */
  readonly id: string | undefined
  readonly target: ReplyTarget
}

/** A request that asks for nothing that is here, with the address for the error. */
export interface Misrouted {
  readonly problem: Problem
  /** For labels and log: the exposed model's name, or `_unknown`. */
  readonly model: string
  readonly target: ReplyTarget
}

/** What tells a request from the others of its client. */
export interface RequestName {
  readonly client: string
  readonly model: string
  readonly operation: string
  /** What the client appended to the topic. */
  readonly id: string | undefined
  readonly correlationData: Uint8Array | undefined
}

/** How a request ended: the model's answer, or why there is none. */
export type Outcome = EndpointResponse | Problem

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
  readonly protocol: Dialect
  readonly hasBody: boolean
  /** Whether the endpoint may answer in parts. */
  readonly mayEmit: boolean
  readonly endpoint: Endpoint
  readonly figures: OperationFigures
}

/** The way to one configured model's server; one implementation per transport. */
export interface Upstream {
  /**
   * The bare call of one operation: retries and circuit go around it. Undefined: the operation does not travel this way
   * in this dialect.
   */
  endpoint(operation: OperationName, dialect: Dialect, version?: string): Endpoint | undefined
  /** Asks the server what the model is. @throws Problem, also when `signal` is aborted */
  facts(signal: AbortSignal): Promise<ModelFacts>
  /** Resolves when the calls under way have ended and the connections are closed. No call may follow. */
  close(): Promise<void>
  /** Ends all connections at once. */
  destroy(): Promise<void>
}

/** How a server describes a model, or one version of it. */
export interface ModelDescription {
  readonly platform?: string
  readonly versions?: readonly string[]
  readonly inputs?: readonly TensorMetadata[]
  readonly outputs?: readonly TensorMetadata[]
}

/** What a server says about one version of a model. */
export type VersionFacts =
  | { readonly state: 'described'; readonly description: ModelDescription }
  /** It does not have the version; `reason` is for the operator's log. */
  | { readonly state: 'missing'; readonly reason: string }
  /** The question failed: another moment may bring an answer. */
  | { readonly state: 'unanswered' }

/** What a server says about a model. */
export interface ModelFacts extends ModelDescription {
  /** The dialects that it speaks for the model, at least one. */
  readonly protocolVersions: readonly Dialect[]
  /** Dialects whose question failed: the server may speak them or not. Empty: nothing is left to find out. */
  readonly unanswered: readonly Dialect[]
  /** Of the configured versions, each for itself: versions may differ in their tensors. */
  readonly ofVersions?: ReadonlyMap<string, VersionFacts>
}

/** Asks one model server one thing. The path is fixed when the endpoint is made; no request can change it. */
export interface Endpoint {
  /** Why a call would fail at once; asked before a request waits for its turn. */
  refusal?(): Problem | undefined
  /**
   * The promise is the end of the call, also of one that answers in parts: turns, deadlines and bytes are given back
   * when it settles. An answer in parts ends with a response too, its last message.
   * @throws Problem for everything but a good answer.
   */
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
  /**
   * Takes one part of an answer that comes in parts, in order, before the call ends. Undefined: one answer only.
   * After the first part the call cannot be repeated.
   */
  readonly emit: ((part: ReplyPart) => void) | undefined
}

/** One message of an answer that comes in parts, such as a server-sent event; not the last one. */
export interface ReplyPart {
  readonly body: Uint8Array
  readonly contentType: string
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

/** How a publish ended. */
export type PublishResult =
  /** Acknowledged; the reason code tells more: 0x00, or 0x10 when nobody subscribes (MQTT 5 §3.4.2.1). */
  | { readonly kind: 'acknowledged'; readonly reasonCode: number }
  /** The broker refused it: 0x80 and above, such as 0x87 not authorized, 0x97 quota exceeded. */
  | { readonly kind: 'refused'; readonly reasonCode: number }
  /** Larger than the broker's Maximum Packet Size; it was not sent. */
  | { readonly kind: 'too-large'; readonly packetBytes: number; readonly packetBytesMax: number }
  /** The broker ended the connection again and again while this was in flight. */
  | { readonly kind: 'undeliverable' }
  /** The session was closed for good first. */
  | { readonly kind: 'closed' }

/** Where an answer goes. */
export interface ReplyTarget {
  readonly topic: string
  readonly correlationData: Uint8Array | undefined
  readonly qos: 0 | 1
}

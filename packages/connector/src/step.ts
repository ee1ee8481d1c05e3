// The types that the steps of the pipeline exchange. Rooms (ARCHITECTURE.md) import these types; they never import
// each other.
import type {
  Dialect,
  MessageProperties,
  OperationName,
  Problem,
  QoS,
  TensorMetadata,
} from '@inferwire/protocol'
import type { OperationFigures } from './telemetry/index.ts'

/**
 * A received PUBLISH that must be settled. Created by the session; the steps do not depend on any other part of MQTT.
 */
export interface Delivery {
  readonly topic: string
  /** Empty after `release`. */
  readonly payload: Buffer
  /** Size on the wire. */
  readonly payloadBytes: number
  /** Size of the properties on the wire. */
  readonly propertyBytes: number
  /** False if the payload exceeded the size limit and was discarded while it was received. */
  readonly isWhole: boolean
  readonly qos: QoS
  readonly retain: boolean
  /** The DUP flag. It suggests that this is a redelivery, but does not prove it (MQTT 5 §3.3.1.1). */
  readonly dup: boolean
  readonly packetId: number
  readonly properties: MessageProperties
  /** Time of receipt on the monotonic clock, in milliseconds (`performance.now()`). */
  readonly receivedAtMs: number
  /** Whether the payload and properties were released. */
  readonly isReleased: boolean
  /** Identifies the delivery's connection. Deliveries on the same connection are different PUBLISH packets. */
  readonly connection: object
  /** Whether the connection has ended. If so, the delivery cannot be acknowledged, and may be redelivered. */
  readonly isLost: boolean
  /** Resolves when a lost delivery can no longer be redelivered; undefined = no redelivery is expected. */
  readonly redelivery: Promise<void> | undefined
  /**
   * Replaces the payload with an equal payload. A repeated request that waits for an answer then holds no second
   * copy.
   */
  sharePayload(payload: Buffer): void
  /** Frees the payload and properties, which are not needed while the reply waits for its acknowledgement. */
  release(): void
  /**
   * Like `release`, and lets a later request use the memory of the payload. Nothing may read the payload any more; views
   * of it become empty.
   */
  recycle(): void
  /** Allows the PUBACK to be sent, on the connection that received the PUBLISH. Idempotent. */
  settle(): void
}

/** Determines the model, operation and reply topic of a delivery. The first router that recognises the topic wins. */
export interface Router {
  /** The topic filters to subscribe to. */
  filters(): readonly string[]
  /**
   * Returns undefined if the router does not handle the topic of the delivery, or cannot derive a reply topic.
   * Never throws.
   */
  route(delivery: Delivery): Routing | undefined
}

/** The result of routing a request. */
export type Routing = Routed | Misrouted | LeftToPeer | Undecided

/** A request for another connector's model. The other connector has also received the request, and answers it. */
export interface LeftToPeer {
  readonly peer: string
}

/**
 * A request that cannot be routed yet, because the other connectors are not known. It must be routed again when
 * `until` resolves.
 */
export interface Undecided {
  readonly until: Promise<void>
}

/** A request whose model and operation are known. */
export interface Routed {
  /** The client's identity, guaranteed by the broker's ACL. */
  readonly client: string
  readonly model: ExposedModel
  readonly operation: BoundOperation
  /** The levels that the client appended to the topic, including slashes. */
  readonly id: string | undefined
  readonly target: ReplyTarget
}

/** A request for an unknown model or operation, with the target for the error reply. */
export interface Misrouted {
  readonly problem: Problem
  /** The client named in the topic; undefined if the topic does not follow the grammar. */
  readonly client: string | undefined
  /** For the log only: `_unknown`, or the name of a configured model, which may be hidden from the client. */
  readonly model: string
  readonly target: ReplyTarget
}

/** Identifies a request among the requests of its client. */
export interface RequestName {
  readonly client: string
  readonly model: string
  readonly operation: string
  /** The levels that the client appended to the topic. */
  readonly id: string | undefined
  readonly correlationData: Uint8Array | undefined
}

/** The outcome of a request: the model's response, or the problem that is reported instead. */
export type Outcome = EndpointResponse | Problem

/**
 * The content type of a request to a model server: that of the dialect, or one of `BoundOperation.contentTypes`.
 */
export type RequestContentType = 'application/json' | 'application/octet-stream' | (string & {})

/** A model as this connector exposes it. */
export interface ExposedModel {
  /** The name in topics: `{name}` or `{name}@{version}`. */
  readonly name: string
  readonly operations: ReadonlyMap<string, BoundOperation>
  readonly defaultOperation: BoundOperation
  /**
   * Operations that the server may support: the connector has not queried the server about them yet, or the server
   * did not answer.
   */
  readonly openOperations?: readonly string[]
  /** Default and maximum deadline of a request, in milliseconds. */
  readonly timeoutMs: number
  readonly requestBytesMax: number
  /** Names of the user properties that are sent as HTTP headers; the names are in lower case. */
  readonly passHeaders: ReadonlySet<string>
  /** Whether a request may run twice. If not, a request that may already have run is answered with `maybe_executed`. */
  readonly repeatable: boolean
  readonly gate: Gate
}

/** Properties of a model that have no option in the configuration. */
export interface ModelTraits {
  /**
   * When the server may be queried for its metadata. `when-awake`: only after it has answered a request, because a
   * query would start a server that is scaled to zero. `never`: a query would run the model.
   */
  readonly queries: 'usual' | 'when-awake' | 'never'
  /** The operations to offer; undefined = all that the protocol has. */
  readonly operations?: readonly OperationName[]
  /** The address of the explainer, if the address of the model does not lead to it. */
  readonly explainer?: { readonly url: string; readonly host: string | undefined }
}

/** One operation of one model, bound to the endpoint that answers it. */
export interface BoundOperation {
  readonly name: OperationName
  readonly protocol: Dialect
  readonly hasBody: boolean
  /**
   * Content types that are accepted in addition to the dialect's content type. The model receives a body of these
   * types unchanged.
   */
  readonly contentTypes?: ReadonlySet<string>
  /** Whether the endpoint may send a multi-part answer. */
  readonly mayEmit: boolean
  readonly endpoint: Endpoint
  readonly figures: OperationFigures
}

/** The client of one configured model's server; one implementation per transport. */
export interface Upstream {
  /**
   * Returns the endpoint of one operation, without retries or a circuit breaker; undefined if the transport or the
   * dialect does not support the operation.
   */
  endpoint(operation: OperationName, dialect: Dialect, version?: string): Endpoint | undefined
  /** Queries the server for the model's metadata. @throws Problem, including when `signal` is aborted */
  facts(signal: AbortSignal): Promise<ModelFacts>
  /**
   * Waits until the calls in flight have ended, then closes the connections. Resolves when they are closed. No
   * call may follow.
   */
  close(): Promise<void>
  /** Closes all connections at once. */
  destroy(): Promise<void>
}

/** A server's description of a model or of one of its versions. */
export interface ModelDescription {
  readonly platform?: string
  readonly versions?: readonly string[]
  readonly inputs?: readonly TensorMetadata[]
  readonly outputs?: readonly TensorMetadata[]
}

/** The facts about one version of a model. */
export type VersionFacts =
  | { readonly state: 'described'; readonly description: ModelDescription }
  /** The server does not have the version; `reason` is for the operator's log. */
  | { readonly state: 'missing'; readonly reason: string }
  /** The query failed, but a later query may succeed. */
  | { readonly state: 'unanswered' }

/** The facts about a model that its server has reported. */
export interface ModelFacts extends ModelDescription {
  /** The dialects that the server supports for the model, at least one. */
  readonly protocolVersions: readonly Dialect[]
  /** Dialects whose support is unknown, because the query for them failed; empty if the facts are complete. */
  readonly unanswered: readonly Dialect[]
  /** The optional operations that the server supports; undefined if none was found. */
  readonly optionalOperations?: readonly OperationName[]
  /** Whether the facts are only assumed from the configuration, because the server was not queried yet. */
  readonly isAssumed?: true
  /** The configured versions, which may differ in their tensors. */
  readonly ofVersions?: ReadonlyMap<string, VersionFacts>
}

/** Calls one operation of one model. The path is fixed when the endpoint is created; no request can change it. */
export interface Endpoint {
  /** Returns the problem if a call would fail at once. The caller checks this before it queues a request. */
  refusal?(): Problem | undefined
  /**
   * Calls the model server. Until the promise settles, the request keeps its turn and its share of the byte
   * budget, and its deadline applies. A multi-part answer also ends with a response, which becomes the last
   * message of the answer.
   * @throws Problem for everything except a successful response
   */
  call(request: EndpointRequest): Promise<EndpointResponse>
}

/** The request that an endpoint sends. */
export interface EndpointRequest {
  readonly body: Buffer
  readonly contentType: RequestContentType
  /** Length of the JSON part in bytes (V2 binary tensor extension). */
  readonly inferenceHeaderContentLength: string | undefined
  /** Additional, validated headers: a flat name/value list. */
  readonly headers: readonly string[]
  readonly deadline: Deadline
  /**
   * Accepts the parts of an answer, in order, until the call ends; undefined if only a single response is allowed.
   * After the first part, the call is not retried.
   */
  readonly emit: ((part: ReplyPart) => void) | undefined
  /** Whether the request must not share a call with other requests, because it may have crashed the process. */
  readonly mustRunAlone?: boolean
  /** The client that sent the request. */
  readonly client?: string
  /** The class of the request, from 0 to 9; requests with a higher number are sent first. */
  readonly priority?: number
  /** Set by an endpoint with batching: milliseconds that the request waited in a batch. */
  batchMs?: number | undefined
  /** How long the deltas of a stream may be collected into one part, in milliseconds; undefined = as configured. */
  readonly coalesceMs?: number | undefined
  /** Where the body names the model; undefined if bodies in this dialect do not name the model. */
  readonly modelPlace?: ModelPlace | undefined
}

/** The byte position of the model's name in a JSON body. If `start` = `end`, the name can be inserted there. */
export interface ModelPlace {
  readonly start: number
  readonly end: number
  /** Whether the body is an object that has no members. */
  readonly isEmpty: boolean
}

/** One message of a multi-part answer, such as a server-sent event; the last message is the response. */
export interface ReplyPart {
  readonly body: Uint8Array
  readonly contentType: string
}

/** A successful response of a model server. */
export interface EndpointResponse {
  readonly status: number
  readonly body: Uint8Array
  readonly contentType: string
  readonly inferenceHeaderContentLength: string | undefined
  /** The tokens that the model server counted, if it reported them. */
  readonly usage?: TokenUsage
  /**
   * Whether the transport has sent the whole body of the request, so that the body's memory can be reused. If undefined,
   * the transport may still be reading the body, for example for an earlier attempt that failed.
   */
  readonly isBodySent?: boolean | undefined
  /**
   * Whether this is the last message of a streamed answer. A streamed answer may consist of this message alone.
   */
  readonly endsStream?: true
}

/** The token counts of one request and its answer. */
export interface TokenUsage {
  readonly promptTokens: number
  /** 0 for operations that generate no tokens, such as embeddings. */
  readonly completionTokens: number
}

/**
 * The deadline of a request. Also used to cancel the request at every stage from the queue to the socket, because
 * an `AbortSignal` would cost more.
 */
export interface Deadline {
  /** Time of the deadline on the monotonic clock, in milliseconds. */
  readonly atMs: number
  /** Set when the deadline has passed or the request was cancelled. */
  readonly problem: Problem | undefined
  /** The callback of the current wait. It is called at most once; the next wait replaces it. */
  waiting: ((problem: Problem) => void) | undefined
  /**
   * Replaces the model's timeout by `budgetMs`, counted from now, because the first part of a stream has arrived. The
   * client's own deadline still applies.
   */
  extend?(budgetMs: number): void
}

/** Limits how many requests of one model may run, and how many may wait. */
export interface Gate {
  /**
   * Returns undefined if the request may run now, otherwise a promise that resolves when its turn comes. Requests with
   * a higher `priority` (0 to 9, by default 4) get their turns first.
   * @throws Problem `overloaded`, `deadline_exceeded`
   */
  enter(client: string, bytes: number, deadline: Deadline, priority?: number): Promise<void> | undefined
  /** Ends a turn. For each request that `enter` admitted, must be called exactly once, with the same `bytes`. */
  leave(bytes: number): void
}

/** The result of a publish. */
export type PublishResult =
  /**
   * Acknowledged, with reason code 0x00, or with 0x10 if no subscriber matches (MQTT 5 §3.4.2.1). With QoS 0:
   * accepted by the socket, or lost with its connection.
   */
  | { readonly kind: 'acknowledged'; readonly reasonCode: number }
  /**
   * Refused by the broker, with a reason code of 0x80 or above, such as 0x87 (not authorized) or 0x97 (quota exceeded).
   */
  | { readonly kind: 'refused'; readonly reasonCode: number }
  /** Not sent, because it exceeds the broker's Maximum Packet Size. */
  | { readonly kind: 'too-large'; readonly packetBytes: number; readonly packetBytesMax: number }
  /** The broker repeatedly closed the connection while this message was in flight. */
  | { readonly kind: 'undeliverable' }
  /** The session was closed before the message was acknowledged. */
  | { readonly kind: 'closed' }

/** Where a reply is published. */
export interface ReplyTarget {
  readonly topic: string
  readonly correlationData: Uint8Array | undefined
  readonly qos: 0 | 1
}

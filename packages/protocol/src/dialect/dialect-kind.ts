// The type of an entry in the dialect table.
import type { BatchRules } from '../batch/batch-rules.ts'
import type { OperationName } from '../operation.ts'

/** The HTTP request of an operation. */
export interface Route {
  readonly method: 'GET' | 'POST'
  /** A template with `{model}` and `{version}`; the part in brackets is omitted if the request names no version. */
  readonly path: string
  /** How the answer can be streamed; absent = it is always a single response. */
  readonly stream?: StreamKind
}

/** When, and at which path, the answer to an operation is streamed as server-sent events. */
export interface StreamKind {
  /** `requested`: if the JSON body has the member `"stream": true`. */
  readonly when: 'always' | 'requested'
  /** The path of a streamed answer, if it is not the operation's path. A template, like the operation's path. */
  readonly path?: string
}

/** An operation in the dialect table. */
export interface RouteKind extends Route {
  /** Whether only some servers of the dialect have the operation, so that each server must be queried. */
  readonly isOptional?: true
  /**
   * A conflicting operation. A server that has the conflicting operation uses the path of this operation for
   * another purpose, so the server does not offer this operation.
   */
  readonly notWith?: OperationName
}

/** An inference protocol: the meaning of bodies, independent of the transport. */
export interface DialectKind {
  /** Display name. */
  readonly title: string
  /** The operation for a topic that names no operation. */
  readonly defaultOperation: OperationName
  /**
   * Whether a server offers the dialect only for models that need it. The default operation of such a dialect
   * precedes the default operations of dialects that a server offers for all of its models.
   */
  readonly isSpecific?: true
  /** The KServe kinds whose servers have this dialect unless the object states another one. */
  readonly assumedForKinds?: readonly string[]
  /** Whether a body may be JSON followed by binary tensors (the V2 binary tensor extension). */
  readonly hasBinaryTensors: boolean
  /** Whether servers pass a body with a content type other than JSON, such as an image, to the model as bytes. */
  readonly hasOpaqueBodies?: boolean
  /** The member that identifies a JSON body of the default operation, if there is one. */
  readonly bodyMember?: string
  /** How requests of one operation share a call, if the protocol allows it. */
  readonly batching?: BatchRules
  /** The member of a request's JSON body that names the model, if there is one. The path then contains no model. */
  readonly modelMember?: string
  /** Where servers list the names of all their models, in order of preference; absent = in `routes.metadata`, if at all. */
  readonly modelLists?: readonly RouteKind[]
  /** Path prefixes, in order of preference, under which servers offer the dialect; absent = no prefix. */
  readonly prefixes?: readonly string[]
  /**
   * The data of the event that ends a complete stream; absent = a stream is complete when its HTTP body is complete.
   */
  readonly lastEvent?: string
  /**
   * The operations of the protocol. A `metadata` request detects whether a server supports the dialect for a model. If
   * the path of `metadata` contains no model, the answer lists the server's models (`{"data":[{"id":"…"}]}`).
   */
  readonly routes: Readonly<Partial<Record<OperationName, RouteKind>>>
  /** The operations over gRPC, each with its method; absent = servers do not offer the dialect over gRPC. */
  readonly grpcMethods?: Readonly<Partial<Record<OperationName, string>>>
}

// The type of an entry in the dialect table.
import type { OperationName } from '../operation.ts'

/** The HTTP request of an operation. */
export interface Route {
  readonly method: 'GET' | 'POST'
  /** A template with `{model}` and `{version}`; the part in brackets is omitted without a version. */
  readonly path: string
}

/** An inference protocol: the meaning of bodies, independent of the transport. */
export interface DialectKind {
  /** Display name. */
  readonly title: string
  /** The operation for a topic that names no operation. */
  readonly defaultOperation: OperationName
  /** Whether a body may be JSON followed by binary tensors (the V2 binary tensor extension). */
  readonly hasBinaryTensors: boolean
  /** The member that identifies a JSON body of the default operation, if there is one. */
  readonly bodyMember?: string
  /** The operations of the protocol. A `metadata` request detects whether a server supports the dialect for a model. */
  readonly routes: Readonly<Partial<Record<OperationName, Route>>>
  /** The operations over gRPC, each with its method; absent = servers do not offer the dialect over gRPC. */
  readonly grpcMethods?: Readonly<Partial<Record<OperationName, string>>>
}

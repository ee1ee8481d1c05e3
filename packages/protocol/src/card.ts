// The retained messages about models (model cards) and connectors (statuses).
import type { Dialect } from './dialect/index.ts'
import type { OperationName } from './operation.ts'

/** Version of the wire contract. Changes within a version are only additions. */
export const CONTRACT_VERSION = 1

/** One input or output, as in Open Inference Protocol model metadata. `-1` marks a variable dimension. */
export interface TensorMetadata {
  readonly name: string
  readonly datatype: string
  readonly shape: readonly number[]
}

/** Whether a model can be called. */
export type ModelState = 'ready' | 'not_ready' | 'stopped'

/** The retained JSON of `{root}/models/{model}`. Readers must ignore unknown members. */
export interface ModelCard {
  readonly contract: number
  readonly name: string
  readonly description?: string
  /** Requests for a model that is not `ready` are answered with `model_not_ready`. */
  readonly state: ModelState
  /** Why the model is not ready, or what is wrong although it is; a part of a sentence. */
  readonly reason?: string
  /** The name of the connector that published the card last. */
  readonly connector?: string
  /** The KServe protocol versions that the model server supports. */
  readonly protocol_versions: readonly Dialect[]
  readonly operations: readonly OperationName[]
  readonly default_operation: OperationName
  readonly platform?: string
  readonly versions?: readonly string[]
  readonly inputs?: readonly TensorMetadata[]
  readonly outputs?: readonly TensorMetadata[]
  /** Content types that the V1 operations accept in addition to application/json; the model receives the bytes. */
  readonly content_types?: readonly string[]
  /** Request topic and reply topic, in which `{client}` must be replaced. */
  readonly request_topic: string
  readonly reply_topic: string
  readonly limits: {
    readonly request_bytes_max: number
    readonly response_bytes_max: number
    /** Deadline of a request that specifies none, in milliseconds. */
    readonly timeout_ms: number
  }
  /** A working request. */
  readonly example?: { readonly operation: OperationName; readonly body: unknown }
}

/** The models that a connector finds in a Kubernetes cluster: whose names belong to it, and how many there are. */
export interface DiscoveryStatus {
  /** The namespaces whose models, `{name}.{namespace}`, the connector exposes; `*` = all namespaces. */
  readonly namespaces: readonly string[]
  /** The namespace whose models the connector exposes as `{name}`. */
  readonly default_namespace?: string
  /** Further names, which the operator has given. */
  readonly aliases?: readonly string[]
  /** The number of models by state. */
  readonly ready: number
  readonly not_ready: number
  readonly stopped: number
  /** The number of objects that ask to be exposed, but cannot be; the connector's log has the reasons. */
  readonly refused: number
}

/** The retained JSON of `{root}/status/{connector}`. */
export interface ConnectorStatus {
  readonly contract: number
  readonly connector: string
  readonly state: 'online' | 'draining' | 'offline'
  readonly version: string
  /**
   * Milliseconds since the epoch when the status was first published on this connection. The Will has the timestamp
   * of its own connection, which distinguishes a late Will from the status of a newer connection.
   */
  readonly timestamp: number
  /** The configured models that accept requests now. */
  readonly models: readonly string[]
  /** Configured models whose server was never reached; requests receive `model_not_ready`. Absent if there are none. */
  readonly not_ready?: readonly string[]
  /** The models that were found in a cluster; absent without discovery. */
  readonly discovery?: DiscoveryStatus
  /** The shared subscription that the connector is a member of. */
  readonly share?: string
}

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

/** The retained JSON of `{root}/models/{model}`. Readers must ignore unknown members. */
export interface ModelCard {
  readonly contract: number
  readonly name: string
  readonly description?: string
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
  /** The models that accept requests now. */
  readonly models: readonly string[]
  /** Exposed models whose server was never reached; requests receive `model_not_ready`. Absent if there are none. */
  readonly not_ready?: readonly string[]
  /** The shared subscription that the connector is a member of. */
  readonly share?: string
}

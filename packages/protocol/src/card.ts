// What the connector says about itself and its models, retained on the broker.
import type { Dialect } from './dialect/index.ts'
import type { OperationName } from './operation.ts'

/** Version of the wire contract; changes within it are additive only. */
export const CONTRACT_VERSION = 1

/** One input or output, as in Open Inference Protocol model metadata. `-1` marks a variable dimension. */
export interface TensorMetadata {
  readonly name: string
  readonly datatype: string
  readonly shape: readonly number[]
}

/** The retained JSON of `{root}/models/{model}`. Unknown members are to be ignored. */
export interface ModelCard {
  readonly contract: number
  readonly name: string
  readonly description?: string
  /** KServe's protocol versions that its server speaks for it. */
  readonly protocol_versions: readonly Dialect[]
  readonly operations: readonly OperationName[]
  readonly default_operation: OperationName
  readonly platform?: string
  readonly versions?: readonly string[]
  readonly inputs?: readonly TensorMetadata[]
  readonly outputs?: readonly TensorMetadata[]
  /** Where to publish and where the answer comes, with `{client}` to fill in. */
  readonly request_topic: string
  readonly reply_topic: string
  readonly limits: {
    readonly request_bytes_max: number
    readonly response_bytes_max: number
    /** Deadline of a request that names none, in milliseconds. */
    readonly timeout_ms: number
  }
  /** A request that works. */
  readonly example?: { readonly operation: OperationName; readonly body: unknown }
}

/** The retained JSON of `{root}/status/{connector}`. */
export interface ConnectorStatus {
  readonly contract: number
  readonly connector: string
  readonly state: 'online' | 'draining' | 'offline'
  readonly version: string
  /**
   * Milliseconds since the epoch of the birth that this status belongs to. The Will carries the timestamp of
   * its own birth, so a late Will can be told from the news of a newer connection.
   */
  readonly timestamp: number
  /** The models that can be asked now. */
  readonly models: readonly string[]
  /** Exposed models whose server was not reached yet; they are answered `model_not_ready`. Left out where there are none. */
  readonly not_ready?: readonly string[]
  /** The shared subscription that the connector is a member of. */
  readonly share?: string
}

// The ways to call a model: an operation, the dialect of its body, and the transport to the server.
import type { OperationName } from '@inferwire/protocol'

/** A way to call a model. */
export interface WayKind {
  readonly operation: OperationName
  /** A phrase that distinguishes ways with the same operation. */
  readonly form: string
  readonly dialect: 'V1' | 'V2' | 'OpenAI'
  readonly transport: 'HTTP' | 'gRPC'
}

const way = (
  operation: OperationName,
  dialect: WayKind['dialect'],
  transport: WayKind['transport'],
  form: string,
): WayKind => ({ operation, dialect, transport, form })

/** All ways, in the order of the table. */
export const WAYS = {
  predict: way('predict', 'V1', 'HTTP', 'JSON'),
  predictBytes: way('predict', 'V1', 'HTTP', 'bytes, of a type in `contentTypes`'),
  explain: way('explain', 'V1', 'HTTP', 'JSON'),
  infer: way('infer', 'V2', 'HTTP', 'JSON'),
  inferBinary: way('infer', 'V2', 'HTTP', 'JSON and binary tensors'),
  inferBare: way('infer', 'V2', 'HTTP', 'bytes of one tensor'),
  inferVersion: way('infer', 'V2', 'HTTP', 'JSON, for `{model}@{version}`'),
  metadata: way('metadata', 'V2', 'HTTP', 'no body'),
  metadataV1: way('metadata', 'V1', 'HTTP', 'no body'),
  ready: way('ready', 'V2', 'HTTP', 'no body'),
  readyV1: way('ready', 'V1', 'HTTP', 'no body'),
  generate: way('generate', 'V2', 'HTTP', 'JSON'),
  generateStream: way('generate', 'V2', 'HTTP', 'JSON with `"stream": true`'),
  inferStream: way('infer_stream', 'V2', 'HTTP', 'JSON'),
  chat: way('chat', 'OpenAI', 'HTTP', 'JSON'),
  chatStream: way('chat', 'OpenAI', 'HTTP', 'JSON with `"stream": true`'),
  completions: way('completions', 'OpenAI', 'HTTP', 'JSON'),
  completionsStream: way('completions', 'OpenAI', 'HTTP', 'JSON with `"stream": true`'),
  embeddings: way('embeddings', 'OpenAI', 'HTTP', 'JSON'),
  inferGrpc: way('infer', 'V2', 'gRPC', 'JSON'),
  inferBinaryGrpc: way('infer', 'V2', 'gRPC', 'JSON and binary tensors'),
  inferBareGrpc: way('infer', 'V2', 'gRPC', 'bytes of one tensor'),
  inferVersionGrpc: way('infer', 'V2', 'gRPC', 'JSON, for `{model}@{version}`'),
  inferStreamGrpc: way('infer_stream', 'V2', 'gRPC', 'JSON'),
  metadataGrpc: way('metadata', 'V2', 'gRPC', 'no body'),
  readyGrpc: way('ready', 'V2', 'gRPC', 'no body'),
} as const satisfies Record<string, WayKind>

/** The name of a way. */
export type WayName = keyof typeof WAYS

// The ways to call a model: an operation, the dialect of its body, and the transport to the server.
import type { OperationName } from '@inferwire/protocol'

interface WayKind {
  readonly operation: OperationName
  /** A phrase that distinguishes ways with the same operation. */
  readonly form: string
  readonly dialect: 'V1' | 'V2'
  readonly transport: 'HTTP'
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
  explain: way('explain', 'V1', 'HTTP', 'JSON'),
  infer: way('infer', 'V2', 'HTTP', 'JSON'),
  inferBinary: way('infer', 'V2', 'HTTP', 'JSON and binary tensors'),
  inferBare: way('infer', 'V2', 'HTTP', 'bytes of one tensor'),
  inferVersion: way('infer', 'V2', 'HTTP', 'JSON, for `{model}@{version}`'),
  metadata: way('metadata', 'V2', 'HTTP', 'no body'),
  metadataV1: way('metadata', 'V1', 'HTTP', 'no body'),
  ready: way('ready', 'V2', 'HTTP', 'no body'),
  readyV1: way('ready', 'V1', 'HTTP', 'no body'),
} as const satisfies Record<string, WayKind>

/** The name of a way. */
export type WayName = keyof typeof WAYS

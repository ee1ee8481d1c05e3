// One operation of a model with batching: how its requests are merged, and its batches that still wait.
import type { BatchMember, BatchRules } from '@inferwire/protocol'
import type { Endpoint, EndpointRequest } from '../../step.ts'
import type { OperationFigures } from '../../telemetry/index.ts'
import type { Batch } from './batch.ts'
import type { HoldLearner } from './hold-learner.ts'
import type { SizeLimit } from './size-limit.ts'

/** An operation whose calls pass through a `ModelBatcher`. */
export interface BatchedOperation {
  readonly inner: Endpoint
  /** Undefined if every request needs a call of its own. */
  readonly rules: BatchRules | undefined
  readonly figures: OperationFigures
  readonly limit: SizeLimit
  /** Undefined if the delay is fixed. */
  readonly learner: HoldLearner | undefined
  /** The batches that other requests may join, by key. */
  readonly open: Map<string, Batch>
  /** The batches that wait for further requests to join. */
  readonly held: Set<Batch>
  /** Number of calls in progress. */
  running: number
}

// Reading longer JSON would delay the requests of all models by more than a merged call saves.
const JSON_BYTES_MAX = 256 * 1024

/** Reads a request; undefined if it must have a call of its own. */
export function readMember(rules: BatchRules | undefined, request: EndpointRequest): BatchMember | undefined {
  if (rules === undefined || request.mustRunAlone === true || request.emit !== undefined) return undefined
  const { body } = request
  const jsonLength = jsonLengthOf(request)
  return (jsonLength ?? body.length) > JSON_BYTES_MAX ? undefined : rules.read({ body, jsonLength })
}

/**
 * Returns what requests must have in common to share a call: everything that is sent except the instances. All calls
 * of a model have the same credential.
 */
export function keyOf({ contentType, headers }: EndpointRequest, { key }: BatchMember): string {
  // Header values contain no line breaks.
  return `${contentType}\n${headers.join('\n')}\n\n${key}`
}

/** Returns the length of the JSON before binary tensors, in bytes. */
export function jsonLengthOf({
  inferenceHeaderContentLength: length,
}: Pick<EndpointRequest, 'inferenceHeaderContentLength'>): number | undefined {
  return length === undefined ? undefined : Number(length)
}

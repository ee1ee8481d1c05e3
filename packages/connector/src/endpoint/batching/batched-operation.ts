// One operation of a model with batching: how its requests are merged, and which of its batches are still waiting.
import type { BatchMember, BatchRules } from '@inferwire/protocol'
import type { Endpoint, EndpointRequest } from '../../step.ts'
import { JSON_TYPE } from '../http/content-type.ts'
import type { OperationFigures } from '../../telemetry/index.ts'
import type { Batch } from './batch.ts'
import type { HoldLearner } from './hold-learner.ts'
import type { SizeLimits } from './size-limit.ts'

/** What the connector has learned from the calls of an operation. */
export interface LearnedSizes {
  readonly limits: SizeLimits
  /** Undefined if the delay is fixed. */
  readonly learner: HoldLearner | undefined
}

/** An operation whose calls pass through a `ModelBatcher`. */
export interface BatchedOperation extends LearnedSizes {
  readonly inner: Endpoint
  /** Undefined if every request is sent in a call of its own. */
  readonly rules: BatchRules | undefined
  readonly figures: OperationFigures
  /** The batches that other requests may join, by key. */
  readonly open: Map<string, Batch>
  /** The batches that wait for further requests to join. */
  readonly held: Set<Batch>
  /** Number of calls in progress. */
  running: number
}

// Parsing longer JSON would delay the requests of all models by more time than merging saves.
const JSON_BYTES_MAX = 256 * 1024

/** Parses a request; returns undefined if the request must be sent in a call of its own. */
export function readMember(rules: BatchRules | undefined, request: EndpointRequest): BatchMember | undefined {
  if (rules === undefined || request.mustRunAlone === true || request.emit !== undefined) return undefined
  const { body } = request
  const jsonLength = jsonLengthOf(request)
  // A body of any other type is passed through, even if it looks like JSON.
  if (request.contentType !== JSON_TYPE && jsonLength === undefined) return undefined
  return (jsonLength ?? body.length) > JSON_BYTES_MAX ? undefined : rules.read({ body, jsonLength })
}

/**
 * Returns what requests must have in common to share a call: everything that is sent except the instances. All calls
 * of a model have the same credential.
 */
export function keyOf({ contentType, headers }: EndpointRequest, { key }: BatchMember): string {
  // Header values contain no line breaks, so the key is unambiguous.
  return `${contentType}\n${headers.join('\n')}\n\n${key}`
}

/** Returns the length in bytes of the JSON that precedes the binary tensors. */
export function jsonLengthOf({
  inferenceHeaderContentLength: length,
}: Pick<EndpointRequest, 'inferenceHeaderContentLength'>): number | undefined {
  return length === undefined ? undefined : Number(length)
}

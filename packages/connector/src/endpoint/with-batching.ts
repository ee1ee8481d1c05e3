// Wraps an endpoint with batching: concurrent requests share calls, as far as their dialect and the model allow.
import type { BatchRules } from '@inferwire/protocol'
import type { Endpoint, ModelDescription } from '../step.ts'
import type { OperationFigures } from '../telemetry/index.ts'
import type { BatchedOperation } from './batching/batched-operation.ts'
import type { ModelBatcher } from './batching/model-batcher.ts'

/** Options of `withBatching`. */
export interface BatchingOptions {
  /** Shared by all operations of a model, because it counts their calls. */
  readonly batcher: ModelBatcher
  /** How requests are merged; undefined if each request needs a call of its own. */
  readonly rules: BatchRules | undefined
  readonly figures: OperationFigures
}

/** Calls `inner` for one request, or for several merged requests. */
export function withBatching(inner: Endpoint, { batcher, rules, figures }: BatchingOptions): Endpoint {
  const operation: BatchedOperation = {
    inner,
    rules,
    figures,
    ...batcher.learnedOf(figures.operation),
    open: new Map(),
    held: new Set(),
    running: 0,
  }
  return {
    refusal: () => inner.refusal?.(),
    call: (request) => batcher.call(operation, request),
  }
}

/** What is known when `mayMerge` decides. */
export interface MergeSigns {
  /** Whether the operator has set the batch size. */
  readonly isExplicit: boolean
  /** Whether the description is the server's own, and not only assumed from the configuration. */
  readonly isDescribed: boolean
}

/**
 * Whether the requests of a model may be merged. If the model's metadata leaves this open, they are merged only if
 * the operator has set the batch size and the server has described the model, because the first dimension of a
 * tensor may be fixed.
 */
export function mayMerge(
  rules: BatchRules,
  { inputs, outputs }: ModelDescription,
  { isExplicit, isDescribed }: MergeSigns,
): boolean {
  const permit = rules.permits(inputs, outputs)
  return permit === 'yes' || (permit === 'unknown' && isExplicit && isDescribed)
}

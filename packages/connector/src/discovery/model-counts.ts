// Counts the discovered models by state, and the refused objects by reason.
import type { ModelState } from '@inferwire/protocol'
import { isRefusal, type DiscoveredModel, type Refusal, type RefusalKind } from './discovered-model.ts'

/** The numbers of discovered models and of refused objects. */
export interface DiscoveryFigures {
  readonly models: Readonly<Record<ModelState, number>>
  readonly refused: ReadonlyMap<RefusalKind, number>
}

/** What became of an object. */
export type Outcome = DiscoveredModel | Refusal

/** The counters. */
export class ModelCounts implements DiscoveryFigures {
  readonly models = { ready: 0, not_ready: 0, stopped: 0 }
  readonly refused = new Map<RefusalKind, number>()

  /** Number of all models. */
  get total(): number {
    const { ready, not_ready, stopped } = this.models
    return ready + not_ready + stopped
  }

  /** Number of all refused objects. */
  get refusedTotal(): number {
    return [...this.refused.values()].reduce((sum, count) => sum + count, 0)
  }

  /** Counts an outcome once more (1) or once less (-1). */
  count(outcome: Outcome, change: 1 | -1): void {
    if (!isRefusal(outcome)) this.models[outcome.condition.state] += change
    else this.refused.set(outcome.refused, (this.refused.get(outcome.refused) ?? 0) + change)
  }
}

// Finds out when the last request of a replaced or removed model has ended.
import type { Exposure } from './expose-model.ts'

/** A model that receives no new requests. */
export interface RetiredModel {
  readonly exposures: readonly Exposure[]
}

// Interval at which retired models are checked for remaining requests.
const IDLE_CHECK_MS = 100

/** The models with requests that are still running or queued. */
export class RetiredModels<Model extends RetiredModel> {
  readonly #idle: (model: Model) => void
  readonly #models = new Set<Model>()
  #idleCheck: NodeJS.Timeout | undefined

  /** @param idle called when the last request of a model has ended; it must close the model's server */
  constructor(idle: (model: Model) => void) {
    this.#idle = idle
  }

  add(model: Model): void {
    this.#models.add(model)
    this.#closeIdle()
  }

  /** Forgets all models without closing their connections. */
  stop(): void {
    clearInterval(this.#idleCheck)
    this.#models.clear()
  }

  // A closed upstream accepts no further calls, so it is closed only when no request is running or queued any more.
  #closeIdle(): void {
    for (const model of this.#models) {
      if (model.exposures.some(({ gate }) => gate.running + gate.waiting > 0)) continue
      this.#models.delete(model)
      this.#idle(model)
    }
    if (this.#models.size === 0) {
      clearInterval(this.#idleCheck)
      this.#idleCheck = undefined
    } else {
      this.#idleCheck ??= setInterval(() => this.#closeIdle(), IDLE_CHECK_MS).unref()
    }
  }
}

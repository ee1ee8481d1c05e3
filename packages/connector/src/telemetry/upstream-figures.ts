// Figures of one configured model's server: what was tried again, and whether its circuit is open.

/** 0 closed, 1 half-open (a request tries the server), 2 open: the value of the metric. */
export type CircuitState = 0 | 1 | 2

/** Versions and operations of a model share them. */
export class UpstreamFigures {
  readonly model: string
  /** Tries beyond a request's first. */
  retries = 0
  /** Failures that would have been tried again, had the budget not been spent. */
  deniedRetries = 0
  /** Times that the circuit opened. */
  circuitOpens = 0
  /** Undefined: the model is not exposed. */
  circuit: { readonly state: CircuitState } | undefined

  constructor(model: string) {
    this.model = model
  }
}

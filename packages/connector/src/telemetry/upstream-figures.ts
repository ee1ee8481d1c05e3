// The figures of one configured model's server: its retries and its circuit.

/** The value of the metric: 0 closed, 1 half-open (a request probes the server), 2 open. */
export type CircuitState = 0 | 1 | 2

/** The figures of a model's server, shared by the model's versions and operations. */
export class UpstreamFigures {
  readonly model: string
  /** Retries; first attempts are not counted. */
  retries = 0
  /** Failed calls that were not retried because the retry budget was spent. */
  deniedRetries = 0
  /** How often the circuit opened. */
  circuitOpens = 0
  /** Undefined: the model is not exposed. */
  circuit: { readonly state: CircuitState } | undefined

  constructor(model: string) {
    this.model = model
  }
}

// The figures of one configured model's server: retries and circuit.

/** The value of the metric: 0 closed, 1 half-open (a request probes the server), 2 open. */
export type CircuitState = 0 | 1 | 2

/** The figures of a model's server, shared by the model's versions and operations. */
export class UpstreamFigures {
  readonly model: string
  /** Number of retries; first attempts are not counted. */
  retries = 0
  /** Number of failed calls that were not retried because the retry budget was spent. */
  deniedRetries = 0
  /** Number of times that the circuit opened. */
  circuitOpens = 0
  /** Number of calls that a gateway refused, by the name of the refusal; the table of refusals limits the names. */
  readonly refusals = new Map<string, number>()
  /** The circuit that is currently used; undefined if the model is not exposed. */
  circuit: { readonly state: CircuitState } | undefined

  constructor(model: string) {
    this.model = model
  }

  /** Counts a call that a gateway refused. */
  refused(name: string): void {
    this.refusals.set(name, (this.refusals.get(name) ?? 0) + 1)
  }
}

// What `inferwire policy test -o json` prints.

/** The report about a client and a model. */
export interface PolicyReport {
  readonly client: string
  readonly model: string
  /** Whether the client may use the operation or, if none was given, at least one. */
  readonly allowed: boolean
  /** One for each group of operations with the same decision. */
  readonly decisions: readonly PolicyDecision[]
  /** The limits for all requests of one client together. */
  readonly client_limits: {
    readonly in_flight_max: number
    readonly requests_per_second: number | undefined
  }
  /** The model's own limit, in bytes; absent if the model is not configured. */
  readonly model_request_bytes_max: number | undefined
  readonly notes: readonly string[]
}

/** The decision about some operations. */
export interface PolicyDecision {
  readonly operations: readonly string[]
  readonly allowed: boolean
  /** If allowed, the rules that allow it; if denied, the rules that match the client. */
  readonly rules: readonly RuleReport[]
  /** The highest priority; absent if denied. */
  readonly priority_max?: number
  /** The code of the answer to a request; absent if allowed. */
  readonly code?: string
  readonly reason: string
}

/** A rule of the policy. */
export interface RuleReport {
  /** Such as `policy.allow[2]`. */
  readonly path: string
  /** `file:line:column`; absent if the configuration is not from a file. */
  readonly source: string | undefined
  /** Why the rule does not allow the request; absent if it does. */
  readonly mismatch?: string
  readonly request_bytes_max?: number | undefined
  readonly requests_per_second?: number | undefined
  readonly burst?: number | undefined
}

// A rule of the policy: which requests it matches, and what it allows.
import { globOf, matchesGlob, type Glob } from './glob.ts'
import { PRIORITY_DEFAULT } from './priority.ts'
import type { Rate } from './rate-buckets.ts'

/** A rule of `policy.allow`; `*` in a name of a client or model matches any characters. */
export interface AllowRule {
  readonly clients: readonly string[]
  readonly models: readonly string[]
  /** The operations that the rule allows. @default all */
  readonly operations?: readonly string[] | undefined
  /** The highest priority that a request may have. @default 4 */
  readonly priorityMax?: number | undefined
  /** The largest body, in bytes. @default no limit other than the model's */
  readonly requestBytesMax?: number | undefined
  /** The rate of each client. @default no limit */
  readonly rate?: { readonly requestsPerSecond: number; readonly burst?: number | undefined } | undefined
}

/** A rule, prepared for matching. */
export class PolicyRule {
  /** The place in the configuration, such as `policy.allow[2]`. */
  readonly path: string
  readonly priorityMax: number
  /** In bytes; Infinity for no limit. */
  readonly requestBytesMax: number
  readonly rate: Rate | undefined
  readonly #clients: readonly Glob[]
  readonly #models: readonly Glob[]
  readonly #operations: ReadonlySet<string> | undefined

  /** @param index position in `policy.allow` */
  constructor(rule: AllowRule, index: number) {
    const { clients, models, operations, priorityMax = PRIORITY_DEFAULT, requestBytesMax = Infinity } = rule
    this.path = `policy.allow[${index}]`
    this.priorityMax = priorityMax
    this.requestBytesMax = requestBytesMax
    this.rate = rateOf(rule)
    this.#clients = clients.map(globOf)
    this.#models = models.map(globOf)
    this.#operations = operations === undefined ? undefined : new Set(operations)
  }

  matchesClient(client: string): boolean {
    return this.#clients.some((glob) => matchesGlob(glob, client))
  }

  matchesModel(model: string): boolean {
    return this.#models.some((glob) => matchesGlob(glob, model))
  }

  matchesOperation(operation: string): boolean {
    return this.#operations === undefined || this.#operations.has(operation)
  }
}

function rateOf(rule: AllowRule): Rate | undefined {
  if (rule.rate === undefined) return undefined
  const { requestsPerSecond, burst = Math.max(1, Math.floor(requestsPerSecond)) } = rule.rate
  // The rule as text names its buckets, so that a reload that leaves the rule unchanged does not refill them.
  return { name: JSON.stringify(rule), requestsPerSecond, burst }
}

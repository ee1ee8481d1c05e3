// Decides which client may use which operation of which model, and within which limits. The broker authenticates the
// client; the connector authorizes it.
import { OPERATIONS, Problem, type OperationName } from '@inferwire/protocol'
import { ownCopy } from './own-copy.ts'
import { PolicyRule, type AllowRule } from './policy-rule.ts'
import { PRIORITY_DEFAULT } from './priority.ts'
import { RateBuckets } from './rate-buckets.ts'

/** What a client may do with an operation of a model. */
export interface Grant {
  /** The highest priority that a request may have. */
  readonly priorityMax: number
  /** The largest body, in bytes; Infinity for no limit other than the model's. */
  readonly requestBytesMax: number
  /** The rules that allow it, in the order of the configuration; undefined if neither size nor rate is limited. */
  readonly limitedBy: readonly PolicyRule[] | undefined
}

const UNLIMITED: Grant = {
  priorityMax: PRIORITY_DEFAULT,
  requestBytesMax: Infinity,
  limitedBy: undefined,
}

/** The grants of one set of rules, by operation. Clients and models with the same rules share the object. */
type Grants = ReadonlyMap<string, Grant>

interface ClientDecisions {
  /** The rules that match the client. */
  readonly rules: readonly PolicyRule[]
  /** By model; undefined = no rule matches the client and the model. */
  readonly models: Map<string, Grants | undefined>
}

// Limit on cached decisions. Without a limit, new clients would add decisions forever. When the limit is reached, all
// decisions are deleted.
const DECISIONS_MAX = 20_000
const OPERATION_NAMES = Object.keys(OPERATIONS) as readonly OperationName[]

/**
 * Without rules (no policy section), every client may use every model. With an empty list of rules, no client may use
 * any model. Rules only add: a request is allowed if at least one rule allows it, whatever the order of the rules.
 */
export class Policy {
  #rules: readonly PolicyRule[] | undefined
  #showForbidden = false
  readonly #decisions = new Map<string, ClientDecisions>()
  #decisionsCount = 0
  readonly #grants = new Map<string, Grants>()
  readonly #buckets = new RateBuckets()

  /** @param showForbidden whether a client may learn of models and operations that it may not use */
  constructor(allow: readonly AllowRule[] | undefined, showForbidden = false) {
    this.update(allow, showForbidden)
  }

  /** Replaces the rules; requests that were already admitted are not affected. */
  update(allow: readonly AllowRule[] | undefined, showForbidden = false): void {
    this.#forget()
    this.#showForbidden = showForbidden
    this.#rules = allow?.map((rule, index) => new PolicyRule(rule, index))
  }

  /** Whether the client may learn that the model exists, or that it offers the operation. */
  shows(client: string, model: string, operation?: string): boolean {
    if (this.#rules === undefined || this.#showForbidden) return true
    const grants = this.#grantsOf(client, model, this.#rules)
    return grants !== undefined && (operation === undefined || grants.has(operation))
  }

  /** Returns what the client may do. @throws Problem `forbidden_model` */
  grant(client: string, model: string, operation: string): Grant {
    if (this.#rules === undefined) return UNLIMITED
    const grants = this.#grantsOf(client, model, this.#rules)
    const grant = grants?.get(operation)
    if (grant !== undefined) return grant
    const what = grants === undefined ? '' : `operation "${operation}" of `
    throw new Problem('forbidden_model', `Client "${client}" is not allowed to use ${what}model "${model}".`)
  }

  /**
   * Counts a request against the rate of the first rule that allows it. `bytes` is the size of its body, which must
   * not exceed `grant.requestBytesMax`.
   * @throws Problem `overloaded` if no rule allows it now
   */
  spend({ limitedBy }: Grant, client: string, bytes: number, nowMs: number): void {
    if (limitedBy === undefined) return
    let waitMs = Infinity
    let exceeded: PolicyRule | undefined
    for (const rule of limitedBy) {
      if (bytes > rule.requestBytesMax) continue
      if (rule.rate === undefined) return
      const ruleWaitMs = this.#buckets.take(rule.rate, client, nowMs)
      if (ruleWaitMs === 0) return
      if (ruleWaitMs >= waitMs) continue
      waitMs = ruleWaitMs
      exceeded = rule
    }
    throw new Problem(
      'overloaded',
      `Client "${client}" exceeds its limit of ${exceeded!.rate!.requestsPerSecond} requests per second for this model.`,
      { retryAfterMs: Math.ceil(waitMs), detail: `The limit is ${exceeded!.path}.rate.` },
    )
  }

  #grantsOf(client: string, model: string, all: readonly PolicyRule[]): Grants | undefined {
    let decisions = this.#decisions.get(client)
    if (decisions === undefined) {
      this.#count()
      decisions = { rules: all.filter((rule) => rule.matchesClient(client)), models: new Map() }
      this.#decisions.set(ownCopy(client), decisions)
    }
    const { rules, models } = decisions
    const known = models.get(model)
    if (known !== undefined || models.has(model)) return known
    this.#count()
    const decided = this.#shared(rules.filter((rule) => rule.matchesModel(model)))
    models.set(ownCopy(model), decided)
    return decided
  }

  #shared(rules: readonly PolicyRule[]): Grants | undefined {
    if (rules.length === 0) return undefined
    const key = rules.map(({ path }) => path).join()
    let grants = this.#grants.get(key)
    if (grants === undefined) this.#grants.set(key, (grants = grantsOf(rules)))
    return grants
  }

  #count(): void {
    if (this.#decisionsCount >= DECISIONS_MAX) this.#forget()
    this.#decisionsCount += 1
  }

  #forget(): void {
    this.#decisions.clear()
    this.#grants.clear()
    this.#decisionsCount = 0
  }
}

function grantsOf(matching: readonly PolicyRule[]): Grants {
  return new Map(
    OPERATION_NAMES.flatMap((operation): [string, Grant][] => {
      const rules = matching.filter((rule) => rule.matchesOperation(operation))
      return rules.length === 0 ? [] : [[operation, grantOf(rules)]]
    }),
  )
}

function grantOf(rules: readonly PolicyRule[]): Grant {
  const isOpen = rules.some(({ rate, requestBytesMax }) => rate === undefined && requestBytesMax === Infinity)
  return {
    priorityMax: Math.max(...rules.map(({ priorityMax }) => priorityMax)),
    requestBytesMax: Math.max(...rules.map(({ requestBytesMax }) => requestBytesMax)),
    limitedBy: isOpen ? undefined : rules,
  }
}

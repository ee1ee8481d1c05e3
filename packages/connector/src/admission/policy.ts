// Decides which client may use which model. The broker authenticates the client; the connector authorizes it.
import { Problem } from '@inferwire/protocol'
import { PRIORITY_DEFAULT } from './priority.ts'

/** A rule of `policy.allow`; `*` matches any characters. */
export interface AllowRule {
  readonly clients: readonly string[]
  readonly models: readonly string[]
  /** The highest priority that a request may have. @default 4 */
  readonly priorityMax?: number | undefined
}

// Limit on cached decisions. Without a limit, new clients would add decisions forever. When the limit is reached, all
// decisions are deleted.
const DECISIONS_MAX = 10_000

// The strings between the asterisks.
type Glob = readonly string[]

/**
 * Without rules (no policy section), every client may use every model. With an empty list of rules, no client may use
 * any model.
 */
export class Policy {
  #rules:
    | readonly {
        readonly clients: readonly Glob[]
        readonly models: readonly Glob[]
        readonly priorityMax: number
      }[]
    | undefined
  #showForbidden = false
  /** The highest priority for each client and model; undefined = the client may not use the model. */
  readonly #decisions = new Map<string, number | undefined>()

  /** @param showForbidden whether a client may learn of models that it may not use */
  constructor(allow: readonly AllowRule[] | undefined, showForbidden = false) {
    this.update(allow, showForbidden)
  }

  /** Replaces the rules; requests that were already admitted are not affected. */
  update(allow: readonly AllowRule[] | undefined, showForbidden = false): void {
    this.#decisions.clear()
    this.#showForbidden = showForbidden
    this.#rules = allow?.map(({ clients, models, priorityMax = PRIORITY_DEFAULT }) => ({
      clients: clients.map(globOf),
      models: models.map(globOf),
      priorityMax,
    }))
  }

  /** Whether the client may learn that the model exists. */
  shows(client: string, model: string): boolean {
    return this.#showForbidden || this.#allows(client, model)
  }

  /** Checks a request. @throws Problem `forbidden_model`. */
  check(client: string, model: string): void {
    if (this.#allows(client, model)) return
    throw new Problem('forbidden_model', `Client "${client}" is not allowed to use model "${model}".`)
  }

  /** Returns the highest priority that a request of the client may have: the highest of all matching rules. */
  priorityMax(client: string, model: string): number {
    return this.#decide(client, model) ?? PRIORITY_DEFAULT
  }

  #allows(client: string, model: string): boolean {
    return this.#rules === undefined || this.#decide(client, model) !== undefined
  }

  #decide(client: string, model: string): number | undefined {
    if (this.#rules === undefined) return undefined
    // Client levels contain no "/", so the key is unambiguous.
    const key = `${client}/${model}`
    const known = this.#decisions.get(key)
    if (known !== undefined || this.#decisions.has(key)) return known
    const priorities = this.#rules.flatMap(({ clients, models, priorityMax }) =>
      clients.some((glob) => matches(glob, client)) && models.some((glob) => matches(glob, model))
        ? [priorityMax]
        : [],
    )
    const decided = priorities.length === 0 ? undefined : Math.max(...priorities)
    if (this.#decisions.size >= DECISIONS_MAX) this.#decisions.clear()
    this.#decisions.set(key, decided)
    return decided
  }
}

// Only `*` is special; several `*` in a row have the same meaning as one `*`.
function globOf(text: string): Glob {
  return text.split(/\*+/)
}

// The first part matches at the start, the last at the end, the others in between in order. A regular expression with
// many asterisks would backtrack over every split of a string that the client chooses.
function matches(glob: Glob, text: string): boolean {
  const first = glob[0]!
  if (glob.length === 1) return text === first
  const last = glob[glob.length - 1]!
  const end = text.length - last.length
  if (!text.startsWith(first) || !text.endsWith(last)) return false
  let from = first.length
  for (let index = 1; index < glob.length - 1; index++) {
    const found = text.indexOf(glob[index]!, from)
    if (found === -1) return false
    from = found + glob[index]!.length
  }
  return from <= end
}

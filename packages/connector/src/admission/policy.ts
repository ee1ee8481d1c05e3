// Which client may use which model. The broker proves who the client is; the connector decides what it may ask.
import { Problem } from '@inferwire/protocol'

/** One line of `policy.allow`; `*` stands for any characters. */
export interface AllowRule {
  readonly clients: readonly string[]
  readonly models: readonly string[]
}

// Decisions that are remembered. Clients come and go; beyond this many the memory starts anew.
const DECISIONS_MAX = 10_000

// The texts between the stars.
type Glob = readonly string[]

/** Without rules (no policy section) everything is allowed; with an empty list nothing is. */
export class Policy {
  #rules: readonly { readonly clients: readonly Glob[]; readonly models: readonly Glob[] }[] | undefined
  #showForbidden = false
  readonly #decisions = new Map<string, boolean>()

  /** `showForbidden`: a client may learn that models exist which it may not use. */
  constructor(allow: readonly AllowRule[] | undefined, showForbidden = false) {
    this.update(allow, showForbidden)
  }

  /** Takes over new rules; requests that were admitted before finish as they began. */
  update(allow: readonly AllowRule[] | undefined, showForbidden = false): void {
    this.#decisions.clear()
    this.#showForbidden = showForbidden
    this.#rules = allow?.map(({ clients, models }) => ({
      clients: clients.map(globOf),
      models: models.map(globOf),
    }))
  }

  /** Whether the client may learn that the model exists. */
  shows(client: string, model: string): boolean {
    return this.#showForbidden || this.#allows(client, model)
  }

  /** @throws Problem `forbidden_model`. */
  check(client: string, model: string): void {
    if (this.#allows(client, model)) return
    throw new Problem('forbidden_model', `Client "${client}" may not use model "${model}" here.`)
  }

  #allows(client: string, model: string): boolean {
    if (this.#rules === undefined) return true
    // Client levels hold no "/", so the key is unambiguous.
    const key = `${client}/${model}`
    let isAllowed = this.#decisions.get(key)
    if (isAllowed === undefined) {
      isAllowed = this.#rules.some(
        ({ clients, models }) =>
          clients.some((glob) => matches(glob, client)) && models.some((glob) => matches(glob, model)),
      )
      if (this.#decisions.size >= DECISIONS_MAX) this.#decisions.clear()
      this.#decisions.set(key, isAllowed)
    }
    return isAllowed
  }
}

// Only `*` is special; a run of them means the same as one.
function globOf(text: string): Glob {
  return text.split(/\*+/)
}

// The first part at the beginning, the last at the end, the others in their order. Not a regular expression: with many
// stars it would try every way to share out the text, and the text is the client's.
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

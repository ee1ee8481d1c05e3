// Which client may use which model. The broker proves who the client is; the connector decides what it may ask.
import { Problem } from '@inferwire/protocol'

/** One line of `policy.allow`; `*` stands for any characters. */
export interface AllowRule {
  readonly clients: readonly string[]
  readonly models: readonly string[]
}

// Decisions that are remembered. Clients come and go; beyond this many the memory starts anew.
const DECISIONS_MAX = 10_000

/** Without rules (no policy section) everything is allowed; with an empty list nothing is. */
export class Policy {
  readonly #rules: readonly { readonly client: RegExp; readonly model: RegExp }[] | undefined
  readonly #decisions = new Map<string, boolean>()

  constructor(allow: readonly AllowRule[] | undefined) {
    this.#rules = allow?.map((rule) => ({ client: anyOf(rule.clients), model: anyOf(rule.models) }))
  }

  /** @throws Problem `forbidden_model`. */
  check(client: string, model: string): void {
    if (this.#rules === undefined) return
    // Client levels hold no "/", so the key is unambiguous.
    const key = `${client}/${model}`
    let isAllowed = this.#decisions.get(key)
    if (isAllowed === undefined) {
      isAllowed = this.#rules.some((rule) => rule.client.test(client) && rule.model.test(model))
      if (this.#decisions.size >= DECISIONS_MAX) this.#decisions.clear()
      this.#decisions.set(key, isAllowed)
    }
    if (!isAllowed) {
      throw new Problem('forbidden_model', `Client "${client}" may not use model "${model}" here.`)
    }
  }
}

// Only `*` is special; a run of them means the same as one, and must not make the pattern slow.
function anyOf(globs: readonly string[]): RegExp {
  const patterns = globs.map((glob) =>
    glob
      .split(/\*+/)
      .map((text) => text.replaceAll(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`))
      .join('.*'),
  )
  return patterns.length === 0 ? /^(?!)/ : new RegExp(`^(?:${patterns.join('|')})$`, 's')
}

// Decides which object has which name: an operator's model, then an alias, then the order of the kinds.
import { DISCOVERED_KINDS } from '../config/index.ts'
import { keyText, type DiscoveredModel, type ObjectKey, type Refusal } from './discovered-model.ts'

/** A model whose object asks for a name. */
export interface Claim {
  readonly model: DiscoveredModel
  /** Whether the operator has given the name to the object. */
  readonly isAlias: boolean
}

/** The claims on names. Every change costs the number of claims on one name: at most one for each kind and alias. */
export class ModelNames {
  readonly #claims = new Map<string, Map<string, Claim>>()

  /** Adds or replaces an object's claim. */
  set(claim: Claim): void {
    const { key, name } = claim.model
    const claims = this.#claims.get(name) ?? new Map<string, Claim>()
    claims.set(keyText(key), claim)
    this.#claims.set(name, claims)
  }

  /** Removes an object's claim. */
  delete(name: string, key: ObjectKey): void {
    const claims = this.#claims.get(name)
    claims?.delete(keyText(key))
    if (claims?.size === 0) this.#claims.delete(name)
  }

  /** Returns all names. */
  all(): string[] {
    return [...this.#claims.keys()]
  }

  /** Returns the models that claim a name; the first one has it, unless the operator has configured a model with it. */
  claimants(name: string): DiscoveredModel[] {
    return [...(this.#claims.get(name)?.values() ?? [])]
      .sort((one, other) => rankOf(one) - rankOf(other))
      .map(({ model }) => model)
  }
}

function rankOf({ isAlias, model }: Claim): number {
  return (isAlias ? 0 : DISCOVERED_KINDS.length) + DISCOVERED_KINDS.indexOf(model.key.kind)
}

/** The refusal of an object whose name is the name of a model that the operator has configured. */
export function configuredConflict({ name, key }: DiscoveredModel): Refusal {
  return {
    refused: 'conflict',
    message: `${key.kind} "${key.namespace}/${key.name}" is not exposed, because models.${name} has its name "${name}". Rename one of the two, or give the object an alias in discovery.aliases.`,
  }
}

/** The refusal of an object whose name another object has. */
export function objectConflict({ name, key }: DiscoveredModel, holder: DiscoveredModel): Refusal {
  const { kind, namespace, name: objectName } = holder.key
  return {
    refused: 'conflict',
    message: `${key.kind} "${key.namespace}/${key.name}" is not exposed, because ${kind} "${namespace}/${objectName}" has its name "${name}". Rename one of the two, or change discovery.aliases.`,
  }
}

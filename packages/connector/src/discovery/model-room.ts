// Limits the number of discovered models: in all, and for each namespace, so that no namespace can use up the limit.
import type { DiscoveredModel, Refusal } from './discovered-model.ts'

/** The limits. */
export interface RoomLimits {
  readonly modelsMax: number
  readonly perNamespaceMax: number
}

/** Each model takes about 20 kB, so that the connector's memory stays below 250 MB. */
const ROOM_LIMITS: RoomLimits = { modelsMax: 10_000, perNamespaceMax: 5_000 }

/** The places for models. */
export interface Room {
  /** Takes a place for the model. Returns the refusal if there is none; the model then waits for a place. */
  take(model: DiscoveredModel): Refusal | undefined
  /** Gives back a place. Returns the name of a waiting model for which there is a place now. */
  leave(name: string): string | undefined
}

/** Returns a room. */
export function roomFor(limits: RoomLimits = ROOM_LIMITS): Room {
  return new CountedRoom(limits)
}

class CountedRoom implements Room {
  readonly #limits: RoomLimits
  /** The namespace of each model, by its name. */
  readonly #taken = new Map<string, string>()
  readonly #perNamespace = new Map<string, number>()
  /** Names and namespaces in the order of arrival; as many as there are objects in the cluster. */
  readonly #waiting = new Map<string, string>()

  constructor(limits: RoomLimits) {
    this.#limits = limits
  }

  take({ name, key }: DiscoveredModel): Refusal | undefined {
    const { namespace } = key
    if (this.#hasPlace(namespace)) {
      this.#waiting.delete(name)
      this.#taken.set(name, namespace)
      this.#perNamespace.set(namespace, (this.#perNamespace.get(namespace) ?? 0) + 1)
      return undefined
    }
    this.#waiting.set(name, namespace)
    const { modelsMax, perNamespaceMax } = this.#limits
    const limit =
      this.#taken.size >= modelsMax
        ? `the limit of ${modelsMax} models is reached`
        : `the limit of ${perNamespaceMax} models of a namespace is reached`
    return {
      refused: 'limit',
      message: `${key.kind} "${namespace}/${key.name}" is not exposed, because ${limit}. Delete models, or run another connector for some of the namespaces.`,
    }
  }

  leave(name: string): string | undefined {
    this.#waiting.delete(name)
    const left = this.#taken.get(name)
    if (left === undefined) return undefined
    this.#taken.delete(name)
    const count = this.#perNamespace.get(left)! - 1
    if (count === 0) this.#perNamespace.delete(left)
    else this.#perNamespace.set(left, count)
    for (const [waiting, namespace] of this.#waiting) {
      if (!this.#hasPlace(namespace)) continue
      this.#waiting.delete(waiting)
      return waiting
    }
    return undefined
  }

  #hasPlace(namespace: string): boolean {
    const { modelsMax, perNamespaceMax } = this.#limits
    return this.#taken.size < modelsMax && (this.#perNamespace.get(namespace) ?? 0) < perNamespaceMax
  }
}

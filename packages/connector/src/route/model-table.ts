// The exposed models by name.
import { isModelName, isOperationName, nearestName, Problem } from '@inferwire/protocol'
import type { BoundOperation, ExposedModel } from '../step.ts'

const HIDDEN = 'The model is exposed, but policy.allow does not allow this client to use it.'
const HIDDEN_OPERATION =
  'The model offers the operation, but policy.allow does not allow this client to use it.'

interface Pending {
  readonly reason: string
  readonly wanted: (() => void) | undefined
}

/** Finds models by the name in the topic. A request with a name that is not in the table reaches no model server. */
export class ModelTable {
  readonly #models = new Map<string, ExposedModel>()
  // Configured models whose server has not answered yet.
  readonly #pending = new Map<string, Pending>()

  /** Exposes a model, or replaces it. */
  set(model: ExposedModel): void {
    this.#pending.delete(model.name)
    this.#models.set(model.name, model)
  }

  /**
   * Adds a configured model that is not ready yet. `reason` is a sentence that is safe to show to requesters; the
   * callback `wanted` is called by the method of the same name.
   */
  setPending(name: string, reason: string, wanted?: () => void): void {
    this.#models.delete(name)
    this.#pending.set(name, { reason, wanted })
  }

  /** Removes a model. */
  delete(name: string): void {
    this.#models.delete(name)
    this.#pending.delete(name)
  }

  /** The names of the exposed models, sorted. */
  get names(): string[] {
    return [...this.#models.keys()].sort()
  }

  /** Whether a model with this name is configured here. */
  has(name: string): boolean {
    return this.#models.has(name) || this.#pending.has(name)
  }

  /**
   * Finds a model. A model that is not `shown` gets the same problem as one that does not exist.
   * @throws Problem `model_not_found`, `model_not_ready`, or `bad_topic` for an invalid name.
   */
  find(name: string, shown: (name: string) => boolean = everyName): ExposedModel {
    const model = this.#models.get(name)
    if (model !== undefined && shown(name)) return model
    if (!isModelName(name)) {
      throw new Problem(
        'bad_topic',
        'The model level of the topic is not a valid model name: use letters, digits, ".", "_", "-" and at most 253 characters.',
      )
    }
    const pending = this.#pending.get(name)
    if (pending !== undefined && shown(name)) throw new Problem('model_not_ready', pending.reason)
    const message = `Model "${name}" is not exposed here${this.#suggestion(name, shown)}`
    // The reason is only for the operator's log, not for the requester.
    throw new Problem('model_not_found', message, this.has(name) ? { detail: HIDDEN } : {})
  }

  /**
   * Checks the model's server now if the server has not answered yet. Called for requests from clients that may learn
   * of the model.
   */
  wanted(name: string): void {
    this.#pending.get(name)?.wanted?.()
  }

  #suggestion(name: string, shown: (name: string) => boolean): string {
    const names = this.names.filter(shown)
    const nearest = nearestName(name, names)
    if (nearest !== undefined) return `; did you mean "${nearest}"?`
    // The client must not learn which models are hidden from it.
    if (names.length === 0) return this.#models.size === 0 ? '; no model is exposed yet.' : '.'
    const rest = names.length > 10 ? `, and ${names.length - 10} more` : ''
    return `; this connector exposes ${names.slice(0, 10).join(', ')}${rest}.`
  }
}

function everyName(): boolean {
  return true
}

/**
 * Returns the operation with this name, or the model's default operation. An operation that is not `shown` gets the same
 * problem as one that the model does not offer.
 * @throws Problem `operation_not_supported`, or `model_not_ready` if it is not known yet whether the server has the
 * operation.
 */
export function findOperation(
  model: ExposedModel,
  given: string | undefined,
  shown: (name: string) => boolean = everyName,
): BoundOperation {
  const name = given ?? model.defaultOperation.name
  const operation = given === undefined ? model.defaultOperation : model.operations.get(given)
  if (operation !== undefined && shown(name)) return operation
  if (model.openOperations?.includes(name) === true && shown(name)) {
    throw new Problem(
      'model_not_ready',
      `The server of model "${model.name}" has not reported yet whether it supports that operation.`,
    )
  }
  const offered = [...model.operations.keys()].filter(shown)
  const list = offered.length === 0 ? '.' : `; it offers: ${offered.join(', ')}.`
  // A name that no operation has may contain arbitrary characters, so the message does not repeat it.
  const what = isOperationName(name) ? name : 'that operation'
  throw new Problem(
    'operation_not_supported',
    `Model "${model.name}" does not offer ${what}${list}`,
    // The reason is only for the operator's log, not for the requester.
    operation === undefined ? {} : { detail: HIDDEN_OPERATION },
  )
}

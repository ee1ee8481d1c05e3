// Routes the standard topics `{root}/request/{client}/{model}[/{operation}[/{id…}]]`.
import { Problem, type RequestTopic, type TopicSpace } from '@inferwire/protocol'
import type { Delivery, ExposedModel, LeftToPeer, ReplyTarget, Router, Routing, Undecided } from '../step.ts'
import { UNKNOWN_MODEL } from '../telemetry/index.ts'
import { findOperation, type ModelTable } from './model-table.ts'
import { derivedTarget, requestedTarget } from './reply-target.ts'

/** The state of a model that a peer exposes but cannot serve now. */
export interface PeerAbsent {
  /** The problem for clients that may learn of the model; for other clients the model does not exist. */
  readonly absent: Problem
}

/** The dependencies of the standard router. */
export interface StandardRouterParts {
  readonly topics: TopicSpace
  readonly models: ModelTable
  /** The models that a client may know to exist, and their operations. */
  readonly policy: { shows(client: string, model: string, operation?: string): boolean }
  /** The state of a model that is not configured here; undefined if no other connector is known to expose it. */
  readonly peers: { answering(model: string): LeftToPeer | Undecided | PeerAbsent | undefined }
}

/** Routes requests on the standard topics to the exposed models. */
export class StandardRouter implements Router {
  readonly #parts: StandardRouterParts

  constructor(parts: StandardRouterParts) {
    this.#parts = parts
  }

  filters(): readonly string[] {
    return [this.#parts.topics.requestFilter]
  }

  route(delivery: Delivery): Routing | undefined {
    const { topics, models, policy } = this.#parts
    let target: ReplyTarget | undefined = derivedTarget(topics, delivery)
    if (target === undefined) return undefined
    let parsed: RequestTopic | undefined
    try {
      parsed = topics.parseRequest(delivery.topic)
      const { client, model: name, operation, id } = parsed
      const elsewhere = this.#elsewhere(client, name)
      // This connector does not answer requests for a peer's models, not even requests with a forbidden Response Topic.
      if (elsewhere !== undefined && !('absent' in elsewhere)) return elsewhere
      target = requestedTarget(topics, client, delivery, target)
      if (elsewhere !== undefined && policy.shows(client, name)) throw elsewhere.absent
      const model = this.#find(client, name)
      const bound = findOperation(model, operation, (shown) => policy.shows(client, name, shown))
      return { client, model, operation: bound, id, target }
    } catch (error) {
      const name = parsed !== undefined && models.has(parsed.model) ? parsed.model : UNKNOWN_MODEL
      return { problem: Problem.from(error), client: parsed?.client, model: name, target }
    }
  }

  // The answer for a hidden model must not arrive earlier than the answer for an unknown one, which may have to wait.
  #elsewhere(client: string, name: string): LeftToPeer | Undecided | PeerAbsent | undefined {
    const { models, policy, peers } = this.#parts
    if (!models.has(name)) return peers.answering(name)
    if (policy.shows(client, name)) return undefined
    const elsewhere = peers.answering(name)
    return elsewhere !== undefined && 'until' in elsewhere ? elsewhere : undefined
  }

  #find(client: string, name: string): ExposedModel {
    const { models, policy } = this.#parts
    try {
      return models.find(name, (shown) => policy.shows(client, shown))
    } catch (error) {
      // This problem is thrown only for a client that may learn of the model.
      if (error instanceof Problem && error.code === 'model_not_ready') models.wanted(name)
      throw error
    }
  }
}

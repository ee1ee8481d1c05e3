// The standard topics: `{root}/request/{client}/{model}[/{operation}[/{id…}]]`.
import { Problem, type TopicSpace } from '@inferwire/protocol'
import type { Delivery, ExposedModel, LeftToPeer, ReplyTarget, Router, Routing, Undecided } from '../step.ts'
import { UNKNOWN_MODEL } from '../telemetry/index.ts'
import { findOperation, type ModelTable } from './model-table.ts'
import { derivedTarget, requestedTarget } from './reply-target.ts'

/** What the standard topics are routed with. */
export interface StandardRouterParts {
  readonly topics: TopicSpace
  readonly models: ModelTable
  /** Which models a client may learn of. */
  readonly policy: { shows(client: string, model: string): boolean }
  /** Who else may answer for a model that is not configured here. @throws Problem: somebody will, but not now. */
  readonly peers: { answering(model: string): LeftToPeer | Undecided | undefined }
}

/** See the file's first line. */
export class StandardRouter implements Router {
  readonly #parts: StandardRouterParts

  constructor(parts: StandardRouterParts) {
    this.#parts = parts
  }

  filters(): readonly string[] {
    return [this.#parts.topics.requestFilter]
  }

  route(delivery: Delivery): Routing | undefined {
    const { topics, models, policy, peers } = this.#parts
    let target: ReplyTarget | undefined = derivedTarget(topics, delivery)
    if (target === undefined) return undefined
    let model: ExposedModel | undefined
    try {
      const { client, model: name, operation, id } = topics.parseRequest(delivery.topic)
      // Before anything is answered: who does not have the model knows nothing about its Response Topic either.
      const elsewhere = models.has(name) ? undefined : peers.answering(name)
      if (elsewhere !== undefined) return elsewhere
      target = requestedTarget(topics, client, delivery, target)
      model = models.find(name, (shown) => policy.shows(client, shown))
      return { client, model, operation: findOperation(model, operation), id, target }
    } catch (error) {
      return { problem: Problem.from(error), model: model?.name ?? UNKNOWN_MODEL, target }
    }
  }
}

// The standard topics: `{root}/request/{client}/{model}[/{operation}[/{id…}]]`.
import { Problem, type TopicSpace } from '@inferwire/protocol'
import type { Delivery, ExposedModel, Misrouted, ReplyTarget, Routed, Router } from '../step.ts'
import { UNKNOWN_MODEL } from '../telemetry/index.ts'
import { findOperation, type ModelTable } from './model-table.ts'
import { derivedTarget, requestedTarget } from './reply-target.ts'

/** See the file's first line. */
export class StandardRouter implements Router {
  readonly #topics: TopicSpace
  readonly #models: ModelTable

  constructor(topics: TopicSpace, models: ModelTable) {
    this.#topics = topics
    this.#models = models
  }

  filters(): readonly string[] {
    return [this.#topics.requestFilter]
  }

  route(delivery: Delivery): Routed | Misrouted | undefined {
    let target: ReplyTarget | undefined = derivedTarget(this.#topics, delivery)
    if (target === undefined) return undefined
    let model: ExposedModel | undefined
    try {
      const { client, model: name, operation, id } = this.#topics.parseRequest(delivery.topic)
      target = requestedTarget(this.#topics, client, delivery, target)
      model = this.#models.find(name)
      return { client, model, operation: findOperation(model, operation), id, target }
    } catch (error) {
      return { problem: Problem.from(error), model: model?.name ?? UNKNOWN_MODEL, target }
    }
  }
}

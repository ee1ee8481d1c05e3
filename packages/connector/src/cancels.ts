// Handles cancel messages, which stop a request in flight. They are idempotent and receive no reply.
import { Problem, type TopicSpace } from '@inferwire/protocol'
import type { Clients } from './admission/index.ts'
import { findOperation, type ModelTable } from './route/index.ts'
import type { Delivery } from './step.ts'
import type { Log, Telemetry } from './telemetry/index.ts'

/** Dependencies of `Cancels`. */
export interface CancelParts {
  readonly topics: TopicSpace
  readonly models: ModelTable
  readonly clients: Clients
  readonly telemetry: Telemetry
  readonly log: Log
}

/** Processes cancel messages. A cancelled request is answered with `cancelled`. */
export class Cancels {
  readonly #parts: CancelParts

  constructor(parts: CancelParts) {
    this.#parts = parts
  }

  /**
   * Topic filter of cancel messages. The subscription is not shared, because a cancel message must reach the connector
   * that runs the request.
   */
  get filter(): string {
    return this.#parts.topics.cancelFilter
  }

  /** Handles and settles a cancel message; returns false for any other delivery. */
  take(delivery: Delivery): boolean {
    const { topics, telemetry, log } = this.#parts
    if (!topics.isCancel(delivery.topic)) return false
    try {
      this.#cancel(delivery)
    } catch (error) {
      log.debug({ event: 'cancel_ignored' }, Problem.from(error).message)
    }
    telemetry.cancelMessages += 1
    delivery.release()
    delivery.settle()
    return true
  }

  #cancel({ topic, properties, retain }: Delivery): void {
    const { topics, models, clients } = this.#parts
    const { client, model, operation, id } = topics.parseCancel(topic)
    const { correlationData } = properties
    if (id === undefined && correlationData === undefined) {
      throw new Problem('bad_topic', 'A cancel message has neither an id nor Correlation Data.')
    }
    // A retained message would cancel every later request that it matches.
    if (!retain) clients.cancel({ client, ...executedName(models, model, operation), id, correlationData })
  }
}

// Returns the model and the operation of the request. A topic without an operation stands for the model's default
// operation. If a reload has since removed either of them, the names in the topic are used.
function executedName(
  models: ModelTable,
  model: string,
  operation: string | undefined,
): { model: string; operation: string } {
  try {
    const exposed = models.find(model)
    return { model: exposed.name, operation: findOperation(exposed, operation).name }
  } catch (error) {
    if (operation === undefined) throw error
    return { model, operation }
  }
}

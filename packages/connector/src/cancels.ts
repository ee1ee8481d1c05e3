// Cancel messages: stop the request that they name. Idempotent, and without a reply of their own.
import { Problem, type TopicSpace } from '@inferwire/protocol'
import type { Clients } from './admission/index.ts'
import { findOperation, type ModelTable } from './route/index.ts'
import type { Delivery } from './step.ts'
import type { Log, Telemetry } from './telemetry/index.ts'

/** What cancelling needs. */
export interface CancelParts {
  readonly topics: TopicSpace
  readonly models: ModelTable
  readonly clients: Clients
  readonly telemetry: Telemetry
  readonly log: Log
}

/** See the file's first line. The request that is stopped is answered `cancelled`. */
export class Cancels {
  readonly #parts: CancelParts

  constructor(parts: CancelParts) {
    this.#parts = parts
  }

  /** Every connector subscribes to it for itself: a cancel reaches whichever runs the request. */
  get filter(): string {
    return this.#parts.topics.cancelFilter
  }

  /** Takes and settles a cancel message; false: it is none. */
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
      throw new Problem('bad_topic', 'A cancel message names no request: neither an id nor Correlation Data.')
    }
    const exposed = models.find(model)
    const { name } = findOperation(exposed, operation)
    // A retained one would stop requests forever.
    if (!retain) clients.cancel({ client, model: exposed.name, operation: name, id, correlationData })
  }
}

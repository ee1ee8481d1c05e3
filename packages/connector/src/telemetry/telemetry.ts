// What the connector counts. Plain numbers on the way of a request; names and text only when somebody asks.
import { DURATION_SECONDS, Histogram } from './histogram.ts'
import { UpstreamFigures } from './upstream-figures.ts'

/** Why a delivery was settled without a reply. */
export type UnansweredReason = 'unaddressable' | 'reply_refused' | 'left_to_peer'

/** Stands in labels for every model that is not exposed: a client must not choose label values. */
export const UNKNOWN_MODEL = '_unknown'

/** Figures of one operation of one model. */
export class OperationFigures {
  readonly model: string
  readonly operation: string
  /** Outcomes by code: `ok`, or the problem's code. */
  readonly outcomes = new Map<string, number>()
  /** Seconds from the receipt of the request to the broker's acknowledgement of the reply. */
  readonly duration = new Histogram(DURATION_SECONDS)
  /** Seconds of the call to the model server. */
  readonly upstream = new Histogram(DURATION_SECONDS)
  /** Seconds that the request waited for its turn. */
  readonly queue = new Histogram(DURATION_SECONDS)

  constructor(model: string, operation: string) {
    this.model = model
    this.operation = operation
  }

  count(code: string): void {
    this.outcomes.set(code, (this.outcomes.get(code) ?? 0) + 1)
  }
}

/** One per connector. Read by the admin endpoint, written by the pipeline and the session's listener. */
export class Telemetry {
  isConnected = false
  /** The broker does not accept PUBACKs out of order, so they leave in the order of arrival. */
  isAckOrderStrict = false
  connections = 0
  lostSessions = 0
  repliesWithoutSubscriber = 0
  redeliveredRequests = 0
  /** Requests that joined a running call, or were answered from memory. */
  duplicateRequests = 0
  /** Cancel messages; the requests that they stop are counted by their outcome. */
  cancelMessages = 0
  /** Requests that were set aside because they end the process. */
  poisonRequests = 0
  readonly unanswered = new Map<UnansweredReason, number>()
  readonly #figures = new Map<string, OperationFigures>()
  readonly #upstreams = new Map<string, UpstreamFigures>()

  /** The figures of an exposed model's operation, or of `_unknown`. Bounded by the models that are not forgotten. */
  figures(model: string, operation: string): OperationFigures {
    const key = `${model} ${operation}`
    let figures = this.#figures.get(key)
    if (figures === undefined) {
      figures = new OperationFigures(model, operation)
      this.#figures.set(key, figures)
    }
    return figures
  }

  /** The figures of a configured model's server. Bounded by the models that are not forgotten. */
  upstream(model: string): UpstreamFigures {
    let figures = this.#upstreams.get(model)
    if (figures === undefined) {
      figures = new UpstreamFigures(model)
      this.#upstreams.set(model, figures)
    }
    return figures
  }

  /**
   * Drops the figures of a model that was removed. A request that still waits for the acknowledgement of its reply holds
   * its figures itself: what it counts afterwards is lost, and nothing comes back into the list.
   */
  forget(model: string): void {
    this.#upstreams.delete(model)
    for (const [key, figures] of this.#figures) if (figures.model === model) this.#figures.delete(key)
  }

  get upstreams(): IterableIterator<UpstreamFigures> {
    return this.#upstreams.values()
  }

  get all(): IterableIterator<OperationFigures> {
    return this.#figures.values()
  }

  countUnanswered(reason: UnansweredReason): void {
    this.unanswered.set(reason, (this.unanswered.get(reason) ?? 0) + 1)
  }
}

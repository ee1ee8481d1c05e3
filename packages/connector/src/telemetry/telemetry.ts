// Counts what the connector does, in plain numbers; names and text are added only when metrics are scraped.
import { DURATION_SECONDS, Histogram } from './histogram.ts'
import { UpstreamFigures } from './upstream-figures.ts'

/** Why a requester gets no reply. */
export type UnansweredReason = 'unaddressable' | 'reply_refused'

/** The label value for all models that are not exposed, because clients must not choose label values. */
export const UNKNOWN_MODEL = '_unknown'

/** Figures of one operation of one model. */
export class OperationFigures {
  readonly model: string
  readonly operation: string
  /** Requests by outcome: `ok` or a problem code. */
  readonly outcomes = new Map<string, number>()
  /** Seconds from the receipt of a request to the broker's acknowledgement of its reply. */
  readonly duration = new Histogram(DURATION_SECONDS)
  /** Seconds of a call to the model server, with its retries. */
  readonly upstream = new Histogram(DURATION_SECONDS)
  /** Seconds from the receipt of a request to the call. */
  readonly queue = new Histogram(DURATION_SECONDS)

  constructor(model: string, operation: string) {
    this.model = model
    this.operation = operation
  }

  count(code: string): void {
    this.outcomes.set(code, (this.outcomes.get(code) ?? 0) + 1)
  }
}

/** The figures of a connector, written by the pipeline and the session's listener, and read by the admin endpoint. */
export class Telemetry {
  isConnected = false
  /** The broker does not accept PUBACKs out of order, so they are sent in the order of arrival. */
  isAckOrderStrict = false
  connections = 0
  lostSessions = 0
  repliesWithoutSubscriber = 0
  redeliveredRequests = 0
  /** Requests that joined a running call or were answered from the reply cache. */
  duplicateRequests = 0
  /** Received cancel messages; the cancelled requests are counted by their outcome. */
  cancelMessages = 0
  /** Requests set aside because they end the process. */
  poisonRequests = 0
  /** Requests for models of other connectors, which answer them. */
  peerRequests = 0
  /** Every reason is present from the start: Prometheus computes no increase for a new time series. */
  readonly unanswered = new Map<UnansweredReason, number>([
    ['unaddressable', 0],
    ['reply_refused', 0],
  ])
  readonly #figures = new Map<string, OperationFigures>()
  readonly #upstreams = new Map<string, UpstreamFigures>()

  /** Returns the figures of an exposed model's operation, or of `_unknown`. Bounded by the exposed models. */
  figures(model: string, operation: string): OperationFigures {
    const key = `${model} ${operation}`
    let figures = this.#figures.get(key)
    if (figures === undefined) {
      figures = new OperationFigures(model, operation)
      this.#figures.set(key, figures)
    }
    return figures
  }

  /** Returns the figures of a configured model's server. Bounded by the configured models. */
  upstream(model: string): UpstreamFigures {
    let figures = this.#upstreams.get(model)
    if (figures === undefined) {
      figures = new UpstreamFigures(model)
      this.#upstreams.set(model, figures)
    }
    return figures
  }

  /**
   * Drops the figures of a removed model. A request whose reply is not acknowledged yet keeps a reference to the
   * dropped figures; what it counts later is not exposed.
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

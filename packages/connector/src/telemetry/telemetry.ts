// Counts the connector's events as plain numbers. The names and the text of the metrics are added only when
// Prometheus scrapes them.
import { BATCH_SIZES, DURATION_SECONDS, Histogram } from './histogram.ts'
import { UpstreamFigures } from './upstream-figures.ts'

/** Why a requester receives no reply. */
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
  /** Duration of a call to the model server in seconds, including retries. */
  readonly upstream = new Histogram(DURATION_SECONDS)
  /** Seconds from the receipt of a request to the call, including the wait in a batch. */
  readonly queue = new Histogram(DURATION_SECONDS)
  /** The number of instances in each call, for a model with batching. */
  readonly batchSize = new Histogram(BATCH_SIZES)
  /** Merged calls whose requests were sent again in smaller calls. */
  batchFailovers = 0
  /** Seconds from the receipt of a request to the first part of its streamed answer. */
  readonly firstPart = new Histogram(DURATION_SECONDS)
  /** Tokens that the model server reported; undefined if it has reported none. */
  tokens: { prompt: number; completion: number } | undefined

  constructor(model: string, operation: string) {
    this.model = model
    this.operation = operation
  }

  countTokens({ promptTokens, completionTokens }: { promptTokens: number; completionTokens: number }): void {
    this.tokens ??= { prompt: 0, completion: 0 }
    this.tokens.prompt += promptTokens
    this.tokens.completion += completionTokens
  }

  count(code: string): void {
    this.outcomes.set(code, (this.outcomes.get(code) ?? 0) + 1)
  }
}

/** The figures of a connector, written by the pipeline and the session's listener, and read by the admin endpoint. */
export class Telemetry {
  isConnected = false
  /** Whether PUBACKs are sent in the order of arrival, because the broker does not accept them out of order. */
  isAckOrderStrict = false
  connections = 0
  lostSessions = 0
  repliesWithoutSubscriber = 0
  redeliveredRequests = 0
  /** Number of requests that joined a running call or were answered from the reply cache. */
  duplicateRequests = 0
  /** Number of received cancel messages; the cancelled requests are counted in `outcomes`. */
  cancelMessages = 0
  /** Number of requests set aside because they crash the process. */
  poisonRequests = 0
  /** Number of requests for other connectors' models; those connectors answer them. */
  peerRequests = 0
  /**
   * Contains every reason from the start, because Prometheus does not count the first value of a new time series
   * as an increase.
   */
  readonly unanswered = new Map<UnansweredReason, number>([
    ['unaddressable', 0],
    ['reply_refused', 0],
  ])
  /** The figures of each model, by operation. */
  readonly #figures = new Map<string, Map<string, OperationFigures>>()
  readonly #upstreams = new Map<string, UpstreamFigures>()

  /**
   * Returns the figures of an exposed model's operation, or of `_unknown`. The number of exposed models limits the
   * number of figures.
   */
  figures(model: string, operation: string): OperationFigures {
    let ofModel = this.#figures.get(model)
    if (ofModel === undefined) {
      ofModel = new Map()
      this.#figures.set(model, ofModel)
    }
    let figures = ofModel.get(operation)
    if (figures === undefined) {
      figures = new OperationFigures(model, operation)
      ofModel.set(operation, figures)
    }
    return figures
  }

  /** Returns the figures of a configured model's server. The configured models limit the number of figures. */
  upstream(model: string): UpstreamFigures {
    let figures = this.#upstreams.get(model)
    if (figures === undefined) {
      figures = new UpstreamFigures(model)
      this.#upstreams.set(model, figures)
    }
    return figures
  }

  /**
   * Drops the figures of a removed model. A request whose reply is not acknowledged yet still updates these figures,
   * but they are no longer exposed.
   */
  forget(model: string): void {
    this.#upstreams.delete(model)
    this.#figures.delete(model)
  }

  get upstreams(): IterableIterator<UpstreamFigures> {
    return this.#upstreams.values()
  }

  get all(): IterableIterator<OperationFigures> {
    return figuresIn(this.#figures.values())
  }

  countUnanswered(reason: UnansweredReason): void {
    this.unanswered.set(reason, (this.unanswered.get(reason) ?? 0) + 1)
  }
}

function* figuresIn(
  models: Iterable<ReadonlyMap<string, OperationFigures>>,
): Generator<OperationFigures, undefined> {
  for (const ofModel of models) yield* ofModel.values()
}

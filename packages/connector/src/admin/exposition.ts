// The connector's figures as Prometheus metrics. Labels come from the configuration only, never from a client.
import { collectDefaultMetrics, Registry } from 'prom-client'
import type { Histogram, OperationFigures, Telemetry, UpstreamFigures } from '../telemetry/index.ts'

/** What else is shown: the state of the rooms at the moment of the scrape. */
export interface LiveState {
  readonly version: string
  /** Requests that were taken and are not settled. */
  readonly inFlight: number
  /** Deliveries whose acknowledgement has not left yet. */
  readonly unacknowledged: number
  /** Replies that the broker has not acknowledged yet. */
  readonly unpublished: number
  /** Request bytes that run or wait. */
  readonly bytesInFlight: number
  /** Bytes of the answers that are remembered for repeated requests. */
  readonly bytesRemembered: number
  readonly gates: readonly { readonly model: string; readonly running: number; readonly waiting: number }[]
}

interface Sample {
  readonly value: number
  readonly labels: Record<string, string | number>
  readonly metricName?: string
}
type MetricType = 'counter' | 'gauge' | 'histogram'

// A metric without labels.
function one(value: () => number): () => Sample[] {
  return () => [{ value: value(), labels: {} }]
}

/** The text of `/metrics`, with Node.js' own process metrics. */
export class Exposition {
  readonly #registry = new Registry()
  readonly #telemetry: Telemetry
  readonly #state: () => LiveState

  constructor(telemetry: Telemetry, state: () => LiveState) {
    this.#telemetry = telemetry
    this.#state = state
    collectDefaultMetrics({ register: this.#registry })
    this.#registerAll()
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  async text(): Promise<string> {
    return await this.#registry.metrics()
  }

  #registerAll(): void {
    const telemetry = this.#telemetry
    const state = this.#state
    const figures = (samples: (figures: OperationFigures) => Sample[]): (() => Sample[]) => {
      return () => [...telemetry.all].flatMap(samples)
    }

    this.#add(
      'inferwire_requests_total',
      'counter',
      'Requests by outcome: ok, or the problem code.',
      figures(outcomes),
    )
    this.#histogram(
      'inferwire_request_duration_seconds',
      "Receipt of a request to the broker's acknowledgement of its reply.",
      (f) => f.duration,
    )
    this.#histogram('inferwire_upstream_duration_seconds', 'Call to the model server.', (f) => f.upstream)
    this.#histogram(
      'inferwire_queue_wait_seconds',
      'Wait of a request before the model server was called.',
      (f) => f.queue,
    )
    this.#add(
      'inferwire_inflight_requests',
      'gauge',
      'Requests that are taken and not settled.',
      one(() => state().inFlight),
    )
    this.#add('inferwire_running_calls', 'gauge', 'Calls that are with the model server.', () =>
      state().gates.map(({ model, running }) => ({ value: running, labels: { model } })),
    )
    this.#add('inferwire_queue_depth', 'gauge', 'Requests that wait for their turn.', () =>
      state().gates.map(({ model, waiting }) => ({ value: waiting, labels: { model } })),
    )
    this.#add(
      'inferwire_bytes_inflight',
      'gauge',
      'Bytes of the requests that run or wait.',
      one(() => state().bytesInFlight),
    )
    this.#add(
      'inferwire_unacknowledged_requests',
      'gauge',
      'Deliveries whose PUBACK has not left.',
      one(() => state().unacknowledged),
    )
    this.#add(
      'inferwire_unacknowledged_replies',
      'gauge',
      'Publishes that the broker has not acknowledged.',
      one(() => state().unpublished),
    )
    this.#add('inferwire_dropped_total', 'counter', 'Deliveries settled without a reply, by reason.', () =>
      [...telemetry.drops].map(([reason, value]) => ({ value, labels: { reason } })),
    )
    this.#add(
      'inferwire_redeliveries_total',
      'counter',
      'Requests that the broker had sent before (DUP).',
      one(() => telemetry.redeliveries),
    )
    this.#add(
      'inferwire_duplicates_total',
      'counter',
      'Requests that joined a running call of the same request, or were answered from memory.',
      one(() => telemetry.duplicates),
    )
    this.#add(
      'inferwire_remembered_bytes',
      'gauge',
      'Bytes of the answers that are remembered.',
      one(() => state().bytesRemembered),
    )
    this.#add(
      'inferwire_cancels_total',
      'counter',
      'Cancel messages.',
      one(() => telemetry.cancels),
    )
    this.#add(
      'inferwire_set_aside_total',
      'counter',
      'Requests that ended the process each time and were set aside.',
      one(() => telemetry.setAside),
    )
    this.#add(
      'inferwire_replies_without_subscriber_total',
      'counter',
      'Replies that nobody subscribed to (PUBACK 0x10).',
      one(() => telemetry.repliesWithoutSubscriber),
    )
    this.#add(
      'inferwire_mqtt_connected',
      'gauge',
      '1 when the session is connected and subscribed.',
      one(() => Number(telemetry.isConnected)),
    )
    this.#add(
      'inferwire_mqtt_connections_total',
      'counter',
      'Connections that became ready.',
      one(() => telemetry.connections),
    )
    this.#add(
      'inferwire_mqtt_sessions_lost_total',
      'counter',
      'Times that the broker forgot the session and its queue.',
      one(() => telemetry.sessionsLost),
    )
    this.#add(
      'inferwire_mqtt_ack_order_strict',
      'gauge',
      '1 when the broker does not accept PUBACKs out of order: they leave in the order of arrival.',
      one(() => Number(telemetry.isAckOrderStrict)),
    )
    this.#registerUpstreams()
    this.#add('inferwire_build_info', 'gauge', 'Version of the connector.', () => [
      { value: 1, labels: { version: state().version, node: process.version } },
    ])
  }

  #registerUpstreams(): void {
    const add = (
      name: string,
      type: MetricType,
      help: string,
      pick: (figures: UpstreamFigures) => number | undefined,
    ): void => {
      this.#add(name, type, help, () =>
        [...this.#telemetry.upstreams].flatMap((figures) => {
          const value = pick(figures)
          return value === undefined ? [] : [{ value, labels: { model: figures.model } }]
        }),
      )
    }
    add(
      'inferwire_retries_total',
      'counter',
      "Calls to the model server beyond a request's first.",
      (f) => f.retries,
    )
    add(
      'inferwire_retries_denied_total',
      'counter',
      'Failed calls that were not tried again because the budget was spent.',
      (f) => f.retriesDenied,
    )
    add(
      'inferwire_circuit_state',
      'gauge',
      'Circuit of the model server: 0 closed, 1 half-open (one request tries it), 2 open.',
      (f) => f.circuit?.state,
    )
    add(
      'inferwire_circuit_opens_total',
      'counter',
      'Times that the circuit of the model server opened.',
      (f) => f.circuitOpens,
    )
  }

  #histogram(name: string, help: string, pick: (figures: OperationFigures) => Histogram): void {
    this.#add(name, 'histogram', help, () =>
      [...this.#telemetry.all].flatMap((figures) => {
        const { model, operation } = figures
        const histogram = pick(figures)
        return histogram.count === 0 ? [] : buckets(name, histogram, { model, operation })
      }),
    )
  }

  // prom-client takes any object of this shape; our counters stay plain numbers until somebody looks.
  #add(name: string, type: MetricType, help: string, samples: () => Sample[]): void {
    const metric = {
      name,
      get: () => Promise.resolve({ name, help, type, values: samples(), aggregator: 'sum' }),
      reset: () => {},
    }
    this.#registry.registerMetric(metric as never)
  }
}

function outcomes({ model, operation, outcomes }: OperationFigures): Sample[] {
  return [...outcomes].map(([code, value]) => ({ value, labels: { model, operation, code } }))
}

function buckets(name: string, histogram: Histogram, labels: Record<string, string>): Sample[] {
  const counts = histogram.cumulative()
  return [
    ...counts.map((value, index) => ({
      metricName: `${name}_bucket`,
      value,
      labels: { le: histogram.bounds[index] ?? '+Inf', ...labels },
    })),
    { metricName: `${name}_sum`, value: histogram.sum, labels },
    { metricName: `${name}_count`, value: histogram.count, labels },
  ]
}

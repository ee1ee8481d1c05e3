// Exposes the connector's figures as Prometheus metrics. Label values come from the configuration, never from a client.
import { collectDefaultMetrics, Registry } from 'prom-client'
import type { Histogram, OperationFigures, Telemetry, UpstreamFigures } from '../telemetry/index.ts'

/** The connector's state at the time of the scrape. */
export interface LiveState {
  readonly version: string
  /** Number of requests received and not yet settled. */
  readonly inFlight: number
  /** Number of deliveries whose PUBACK has not been sent. */
  readonly unacknowledged: number
  /** Number of the main session's published messages that the broker has not acknowledged. */
  readonly unpublished: number
  /** Bytes held by requests in flight and by their replies. */
  readonly bytesInFlight: number
  /** Bytes of the replies stored for repeated requests. */
  readonly replyCacheBytes: number
  readonly gates: readonly { readonly model: string; readonly running: number; readonly waiting: number }[]
}

interface Sample {
  readonly value: number
  readonly labels: Record<string, string | number>
  readonly metricName?: string
}
type MetricType = 'counter' | 'gauge' | 'histogram'

/** Description of a metric, for the reference page. */
export interface MetricDescription {
  readonly name: string
  readonly type: MetricType
  /** Names of the labels, except the label `le` of histograms. */
  readonly labels: readonly string[]
  readonly help: string
}

/** Produces the text of `/metrics`, including the default process metrics of Node.js. */
export class Exposition {
  /** Descriptions of the connector's own metrics. */
  readonly descriptions: MetricDescription[] = []
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
    this.#registerRequests()
    this.#registerModelServers()
    this.#registerMqtt()
    this.#add(
      {
        name: 'inferwire_build_info',
        type: 'gauge',
        labels: ['version', 'node_version'],
        help: 'Versions of the connector and of Node.js; always 1.',
      },
      () => [{ value: 1, labels: { version: this.#state().version, node_version: process.version } }],
    )
  }

  #registerRequests(): void {
    const telemetry = this.#telemetry
    const state = this.#state
    this.#add(
      {
        name: 'inferwire_requests_total',
        type: 'counter',
        labels: ['model', 'operation', 'code'],
        help: 'Requests by outcome: "ok" or a problem code.',
      },
      () => [...telemetry.all].flatMap(outcomes),
    )
    this.#histogram(
      'inferwire_request_duration_seconds',
      "Time from the receipt of a request to the broker's acknowledgement of its reply.",
      (f) => f.duration,
    )
    this.#histogram(
      'inferwire_queue_duration_seconds',
      'Time that a request waited before the model server was called.',
      (f) => f.queue,
    )
    this.#one(
      'inferwire_inflight_requests',
      'gauge',
      'Requests received and not yet settled.',
      () => state().inFlight,
    )
    this.#one(
      'inferwire_inflight_bytes',
      'gauge',
      'Bytes held by requests in flight and by their replies (limits.bytesInFlightMax).',
      () => state().bytesInFlight,
    )
    this.#perGate(
      'inferwire_queue_depth',
      'Requests waiting for a call to the model server.',
      (g) => g.waiting,
    )
    this.#one(
      'inferwire_unacknowledged_requests',
      'gauge',
      'Requests whose PUBACK has not been sent.',
      () => state().unacknowledged,
    )
    this.#one(
      'inferwire_unacknowledged_replies',
      'gauge',
      'Replies and other messages that the broker has not acknowledged.',
      () => state().unpublished,
    )
    this.#add(
      {
        name: 'inferwire_unanswered_requests_total',
        type: 'counter',
        labels: ['reason'],
        help:
          'Requests without a reply: "unaddressable" (no reply topic could be derived) or ' +
          '"reply_refused" (the broker refused the reply).',
      },
      () => [...telemetry.unanswered].map(([reason, value]) => ({ value, labels: { reason } })),
    )
    this.#one(
      'inferwire_peer_requests_total',
      'counter',
      "Requests for other connectors' models, answered by those connectors.",
      () => telemetry.peerRequests,
    )
    this.#one(
      'inferwire_redelivered_requests_total',
      'counter',
      'Requests that the broker redelivered (DUP = 1).',
      () => telemetry.redeliveredRequests,
    )
    this.#one(
      'inferwire_duplicate_requests_total',
      'counter',
      'Repeated requests that joined the running call or were answered from the reply cache.',
      () => telemetry.duplicateRequests,
    )
    this.#one(
      'inferwire_reply_cache_bytes',
      'gauge',
      'Bytes of the replies stored for repeated requests (limits.duplicates.bytesMax).',
      () => state().replyCacheBytes,
    )
    this.#one(
      'inferwire_cancel_messages_total',
      'counter',
      'Cancel messages received.',
      () => telemetry.cancelMessages,
    )
    this.#one(
      'inferwire_poison_requests_total',
      'counter',
      'Requests set aside because every attempt to run them crashed the process.',
      () => telemetry.poisonRequests,
    )
    this.#one(
      'inferwire_replies_without_subscriber_total',
      'counter',
      'Replies without a matching subscriber (PUBACK 0x10).',
      () => telemetry.repliesWithoutSubscriber,
    )
  }

  #registerModelServers(): void {
    this.#histogram(
      'inferwire_upstream_request_duration_seconds',
      'Duration of a call to the model server, including retries.',
      (f) => f.upstream,
    )
    this.#histogram(
      'inferwire_batch_size',
      'Instances in each call to a model with batching (models.*.batching); the count is the number of calls.',
      (f) => f.batchSize,
    )
    this.#add(
      {
        name: 'inferwire_batch_failovers_total',
        type: 'counter',
        labels: ['model', 'operation'],
        help: 'Merged calls that failed or received a wrong answer, so that their requests were sent again in smaller calls.',
      },
      () =>
        [...this.#telemetry.all].flatMap(({ model, operation, batchSize, batchFailovers }) =>
          batchSize.count === 0 ? [] : [{ value: batchFailovers, labels: { model, operation } }],
        ),
    )
    this.#histogram(
      'inferwire_first_part_duration_seconds',
      'Time from the receipt of a request to the first part of its streamed answer.',
      (f) => f.firstPart,
    )
    this.#add(
      {
        name: 'inferwire_tokens_total',
        type: 'counter',
        labels: ['model', 'operation', 'kind'],
        help: 'Tokens that the model server reported: "prompt" or "completion".',
      },
      () => [...this.#telemetry.all].flatMap(tokens),
    )
    this.#perGate(
      'inferwire_upstream_inflight_requests',
      'Requests being processed by the model server, or waiting for a retry.',
      (g) => g.running,
    )
    this.#perUpstream(
      'inferwire_upstream_retries_total',
      'counter',
      'Retries of calls to the model server; first attempts are not counted.',
      (f) => f.retries,
    )
    this.#perUpstream(
      'inferwire_upstream_denied_retries_total',
      'counter',
      'Failed calls that were not retried because the retry budget was spent.',
      (f) => f.deniedRetries,
    )
    this.#perUpstream(
      'inferwire_upstream_circuit_state',
      'gauge',
      'State of the circuit: 0 closed, 1 half-open (one request probes the model server), 2 open.',
      (f) => f.circuit?.state,
    )
    this.#perUpstream(
      'inferwire_upstream_circuit_opens_total',
      'counter',
      'Number of times the circuit opened.',
      (f) => f.circuitOpens,
    )
    this.#add(
      {
        name: 'inferwire_upstream_refusals_total',
        type: 'counter',
        labels: ['model', 'refusal'],
        help: 'Calls that a gateway or a service mesh refused, by the name of the refusal, including calls that were retried.',
      },
      () => [...this.#telemetry.upstreams].flatMap(refusals),
    )
  }

  #registerMqtt(): void {
    const telemetry = this.#telemetry
    this.#one('inferwire_mqtt_connected', 'gauge', '1 if the main session is connected and subscribed.', () =>
      Number(telemetry.isConnected),
    )
    this.#one(
      'inferwire_mqtt_connections_total',
      'counter',
      'Connections of the main session that became ready; those of lanes are not counted.',
      () => telemetry.connections,
    )
    this.#one(
      'inferwire_mqtt_lost_sessions_total',
      'counter',
      'Number of times the broker lost a session and its queued requests; the sessions of lanes are counted too.',
      () => telemetry.lostSessions,
    )
    this.#one(
      'inferwire_mqtt_ack_order_strict',
      'gauge',
      '1 if the broker rejects PUBACKs out of order, so that they are sent in the order of arrival.',
      () => Number(telemetry.isAckOrderStrict),
    )
  }

  #one(name: string, type: MetricType, help: string, value: () => number): void {
    this.#add({ name, type, labels: [], help }, () => [{ value: value(), labels: {} }])
  }

  #perGate(name: string, help: string, pick: (gate: LiveState['gates'][number]) => number): void {
    this.#add({ name, type: 'gauge', labels: ['model'], help }, () =>
      this.#state().gates.map((gate) => ({ value: pick(gate), labels: { model: gate.model } })),
    )
  }

  #perUpstream(
    name: string,
    type: MetricType,
    help: string,
    pick: (figures: UpstreamFigures) => number | undefined,
  ): void {
    this.#add({ name, type, labels: ['model'], help }, () =>
      [...this.#telemetry.upstreams].flatMap((figures) => {
        const value = pick(figures)
        return value === undefined ? [] : [{ value, labels: { model: figures.model } }]
      }),
    )
  }

  #histogram(name: string, help: string, pick: (figures: OperationFigures) => Histogram): void {
    this.#add({ name, type: 'histogram', labels: ['model', 'operation'], help }, () =>
      [...this.#telemetry.all].flatMap((figures) => {
        const { model, operation } = figures
        const histogram = pick(figures)
        return histogram.count === 0 ? [] : buckets(name, histogram, { model, operation })
      }),
    )
  }

  // Any object with these members can be registered, so the figures stay plain numbers until a scrape calls `get`.
  #add(description: MetricDescription, samples: () => Sample[]): void {
    this.descriptions.push(description)
    const { name, type, help } = description
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

function refusals({ model, refusals }: UpstreamFigures): Sample[] {
  return [...refusals].map(([refusal, value]) => ({ value, labels: { model, refusal } }))
}

function tokens({ model, operation, tokens }: OperationFigures): Sample[] {
  return Object.entries(tokens ?? {}).map(([kind, value]) => ({ value, labels: { model, operation, kind } }))
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

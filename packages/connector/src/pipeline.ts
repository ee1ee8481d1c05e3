// The life of a request, top to bottom: route, admission, endpoint, reply, settle. Only this file knows the order.
import {
  isTraceparent,
  passedHeaders,
  Problem,
  PROPERTY,
  userProperty,
  type TopicSpace,
} from '@inferwire/protocol'
import { budgetMs, judgePayload, RequestDeadline, type ByteBudget, type Policy } from './admission/index.ts'
import { problemReply, successReply, type Reply, type ReplyContext } from './reply/index.ts'
import { derivedTarget, findOperation, requestedTarget, type ModelTable } from './route/index.ts'
import type { Delivery, PublishResult } from './session/index.ts'
import type { BoundOperation, EndpointResponse, ExposedModel, ReplyTarget } from './step.ts'
import {
  UNKNOWN_MODEL,
  type Log,
  type OperationFigures,
  type ProblemLog,
  type Telemetry,
} from './telemetry/index.ts'

/** What the pipeline works with. `policy` and `models` may be replaced while it runs. */
export interface PipelineParts {
  readonly topics: TopicSpace
  readonly models: ModelTable
  policy: Policy
  readonly publish: (reply: Reply) => Promise<PublishResult>
  /** Bytes of requests and replies that this process holds. */
  readonly budget: ByteBudget
  readonly telemetry: Telemetry
  readonly problemLog: ProblemLog
  readonly log: Log
}

const NO_HEADERS: readonly string[] = []

/** Moves one request from MQTT to a model, and its answer back. */
export class Pipeline {
  readonly #parts: PipelineParts
  #whenIdle: (() => void) | undefined

  constructor(parts: PipelineParts) {
    this.#parts = parts
  }

  /** Takes a delivery; from here on it gets its answer and is settled, whatever happens. Never throws. */
  handle(delivery: Delivery): void {
    this.#parts.telemetry.inFlight += 1
    void this.#serve(delivery)
  }

  /** Resolves when no request is under way. */
  idle(): Promise<void> {
    return new Promise((resolve) => {
      this.#whenIdle = resolve
      if (this.#parts.telemetry.inFlight === 0) resolve()
    })
  }

  async #serve(delivery: Delivery): Promise<void> {
    const { topics, telemetry, publish, budget } = this.#parts
    const derived = derivedTarget(topics, delivery)
    if (derived === undefined) {
      this.#dropUnaddressable(delivery)
    } else {
      if (delivery.dup) telemetry.redeliveries += 1
      const exchange = new Exchange(delivery, derived)
      let reply: Reply
      try {
        reply = this.#answered(await this.#ask(delivery, exchange), exchange)
      } catch (error) {
        reply = this.#failed(Problem.from(error), exchange)
      }
      // Nobody needs the request's bytes while the broker takes its time with the reply; the reply's are accounted for.
      delivery.release()
      const replyBytes = reply.payload.length
      budget.take(replyBytes)
      let result = await publish(reply)
      budget.give(replyBytes)
      const problem = refusalOf(result)
      if (problem !== undefined) result = await publish(this.#failed(problem, exchange))
      // Reply before acknowledgement: a crash in between repeats the work, never loses it.
      if (this.#isDone(result, exchange)) delivery.settle()
      exchange.figures?.duration.observe((performance.now() - delivery.receivedAtMs) / 1000)
    }
    telemetry.inFlight -= 1
    if (telemetry.inFlight === 0) this.#whenIdle?.()
  }

  // Route, admission, endpoint. Whatever is wrong is thrown as a Problem.
  async #ask(delivery: Delivery, exchange: Exchange): Promise<EndpointResponse> {
    const { topics, models, policy } = this.#parts
    const topic = topics.parseRequest(delivery.topic)
    exchange.target = requestedTarget(topics, topic.client, delivery, exchange.target)
    const model = models.find(topic.model)
    const operation = findOperation(model, topic.operation)
    exchange.operation = operation
    exchange.modelName = model.name

    policy.check(topic.client, model.name)
    const body = judgePayload(delivery, model, operation)
    const nowMs = performance.now()
    const deadline = new RequestDeadline(
      delivery.receivedAtMs,
      budgetMs(delivery.properties, model.timeoutMs),
      nowMs,
    )
    const bytes = delivery.payload.length + delivery.propertyBytes
    try {
      const turn = model.gate.enter(bytes, deadline)
      if (turn !== undefined) await turn
      try {
        this.#refuseWhenRepliesPileUp()
        exchange.callStarted()
        const headers = this.#headers(delivery, model)
        const response = await operation.endpoint.call({
          body: delivery.payload,
          contentType: body.contentType,
          inferenceHeaderContentLength: body.inferenceHeaderContentLength,
          headers,
          deadline,
        })
        return response
      } finally {
        exchange.callEnded()
        model.gate.leave(bytes)
      }
    } finally {
      deadline.end()
    }
  }

  // A broker that takes no replies must not make us collect them.
  #refuseWhenRepliesPileUp(): void {
    if (this.#parts.budget.hasRoom(0)) return
    throw new Problem('overloaded', 'Too many answers wait for the broker.', { retryAfterMs: 1_000 })
  }

  #headers(delivery: Delivery, model: ExposedModel): readonly string[] {
    const { userProperties } = delivery.properties
    return userProperties === undefined ? NO_HEADERS : passedHeaders(userProperties, model.passHeaders)
  }

  #answered(response: EndpointResponse, exchange: Exchange): Reply {
    exchange.figures!.count('ok')
    return successReply(exchange.target, response, exchange.context())
  }

  #failed(problem: Problem, exchange: Exchange): Reply {
    const { telemetry, problemLog } = this.#parts
    const figures = exchange.figures ?? telemetry.figures(UNKNOWN_MODEL, UNKNOWN_MODEL)
    figures.count(problem.code)
    problemLog.report(problem, exchange.modelName ?? UNKNOWN_MODEL, figures.operation, performance.now())
    return problemReply(exchange.target, problem, exchange.context())
  }

  // Whether the duty to the requester is done: answered, or no answer can ever reach it.
  #isDone(result: PublishResult, exchange: Exchange): boolean {
    const { telemetry, log, topics } = this.#parts
    switch (result.kind) {
      case 'acknowledged':
        // 0x10, MQTT 5 §3.4.2.1: the broker took it, and nobody subscribes.
        if (result.reasonCode === 0x10) telemetry.repliesWithoutSubscriber += 1
        return true
      case 'refused':
      case 'too-large':
      case 'undeliverable':
        // Not even the small error that took the reply's place: this broker can carry no answer.
        telemetry.dropped('reply_refused')
        log.error(
          { event: 'reply_refused', result, model: exchange.modelName },
          `The broker takes no reply. Let the user of the connector write ${topics.root}/reply/#.`,
        )
        return true
      case 'closed':
        return false
    }
  }

  // The one case without a reply: no client level that could be answered to.
  #dropUnaddressable(delivery: Delivery): void {
    const { telemetry, problemLog } = this.#parts
    telemetry.dropped('unaddressable')
    const problem = new Problem(
      'bad_topic',
      'A request cannot be answered: its topic names no client, or cannot be published to.',
    )
    problemLog.report(problem, UNKNOWN_MODEL, UNKNOWN_MODEL, performance.now())
    delivery.settle()
  }
}

// The error that takes the place of a reply that the broker does not take; undefined when it took it.
function refusalOf(result: PublishResult): Problem | undefined {
  switch (result.kind) {
    case 'acknowledged':
    case 'closed':
      return undefined
    case 'too-large':
      return new Problem(
        'response_too_large',
        `The answer needs a packet of ${result.packetBytes} bytes; the broker takes at most ${result.packetBytesMax}.`,
        { detail: 'Raise max_packet_size of the broker.' },
      )
    case 'undeliverable':
      return new Problem(
        'response_too_large',
        'The broker ends the connection whenever the answer is sent.',
        {
          detail: 'It may be above a limit that the broker does not announce.',
        },
      )
    case 'refused': {
      const code = `0x${result.reasonCode.toString(16)}`
      // Mosquitto's message_size_limit answers 0x83 (implementation specific error).
      const isSize = result.reasonCode === 0x83 || result.reasonCode === 0x95
      return new Problem(
        isSize ? 'response_too_large' : 'internal',
        `The broker refused the answer (${code}).`,
        {
          detail: 'Look at the ACL and the limits of the broker.',
        },
      )
    }
  }
}

// What is known about a request while it is under way.
class Exchange {
  target: ReplyTarget
  operation: BoundOperation | undefined
  modelName: string | undefined
  readonly #delivery: Delivery
  #startedAtMs: number | undefined
  #endedAtMs: number | undefined

  constructor(delivery: Delivery, target: ReplyTarget) {
    this.#delivery = delivery
    this.target = target
  }

  get figures(): OperationFigures | undefined {
    return this.operation?.figures
  }

  callStarted(): void {
    this.#startedAtMs = performance.now()
    this.figures?.queue.observe((this.#startedAtMs - this.#delivery.receivedAtMs) / 1000)
  }

  callEnded(): void {
    // Not begun: turned away with its turn in hand.
    if (this.#startedAtMs === undefined) return
    this.#endedAtMs = performance.now()
    this.figures?.upstream.observe((this.#endedAtMs - this.#startedAtMs) / 1000)
  }

  context(): ReplyContext {
    const { receivedAtMs, properties } = this.#delivery
    const nowMs = this.#endedAtMs ?? performance.now()
    const { messageExpiryInterval, userProperties } = properties
    const traceparent = userProperty(userProperties, PROPERTY.traceparent)
    return {
      queueMs: (this.#startedAtMs ?? nowMs) - receivedAtMs,
      upstreamMs: this.#startedAtMs === undefined ? undefined : nowMs - this.#startedAtMs,
      // At least a second: 0 would expire before the broker can hand it on.
      expirySeconds:
        messageExpiryInterval === undefined
          ? undefined
          : Math.max(1, Math.ceil(messageExpiryInterval - (nowMs - receivedAtMs) / 1000)),
      traceparent: traceparent !== undefined && isTraceparent(traceparent) ? traceparent : undefined,
    }
  }
}

// The life of a request, top to bottom: route, admission, endpoint, reply, settle. Only this file knows the order.
import { passedHeaders, Problem, type TopicSpace } from '@inferwire/protocol'
import {
  budgetMs,
  judgePayload,
  RequestDeadline,
  RunningRequest,
  type ByteBudget,
  type Clients,
  type Policy,
} from './admission/index.ts'
import { duplicateKey, Execution, isProblem, type Duplicates } from './duplicates/index.ts'
import { AdmittedRequest, Exchange } from './exchange.ts'
import { ATTEMPTS_MAX, deadLetterBody, EXECUTIONS_MAX, type Suspicion } from './poison/index.ts'
import { refusalOf } from './refused-reply.ts'
import { problemReply, successReply, type Reply } from './reply/index.ts'
import { derivedTarget, findOperation, requestedTarget, type ModelTable } from './route/index.ts'
import type { PublishResult } from './session/index.ts'
import type { Delivery, EndpointRequest, EndpointResponse, ExposedModel, Outcome } from './step.ts'
import { UNKNOWN_MODEL, type Log, type ProblemLog, type Telemetry } from './telemetry/index.ts'

/** What the pipeline works with. `policy` may be replaced while it runs; `suspicion` is there while anybody is suspected. */
export interface PipelineParts {
  readonly topics: TopicSpace
  readonly models: ModelTable
  policy: Policy
  readonly publish: (reply: Reply) => Promise<PublishResult>
  /** Bytes of requests and replies that this process holds. */
  readonly budget: ByteBudget
  readonly clients: Clients
  readonly duplicates: Duplicates
  suspicion: Suspicion | undefined
  /** Where requests go that end the process; undefined = nowhere. */
  readonly deadLetterTopic: string | undefined
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
    const { topics, telemetry } = this.#parts
    if (topics.isCancel(delivery.topic)) return this.#cancel(delivery)
    telemetry.inFlight += 1
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
        const problem = Problem.from(error)
        if (problem.poison) await this.#setAside(exchange, problem)
        reply = this.#failed(problem, exchange)
      }
      // Nobody needs the request's bytes while the broker takes its time with the reply; the reply's are accounted for.
      delivery.release()
      const replyBytes = reply.payload.length
      budget.take(replyBytes)
      let result = await publish(reply)
      budget.give(replyBytes)
      const problem = refusalOf(result)
      if (problem !== undefined) {
        // Asked again, it would be refused again.
        if (exchange.execution !== undefined && !problem.retryable)
          this.#parts.duplicates.correct(exchange.execution, problem)
        result = await publish(this.#failed(problem, exchange))
      }
      // Reply before acknowledgement: a crash in between repeats the work, never loses it.
      if (this.#isDone(result, exchange)) delivery.settle()
      exchange.figures?.duration.observe((performance.now() - delivery.receivedAtMs) / 1000)
    }
    telemetry.inFlight -= 1
    if (telemetry.inFlight === 0) this.#whenIdle?.()
  }

  // Route and admission. Whatever is wrong is thrown as a Problem.
  async #ask(delivery: Delivery, exchange: Exchange): Promise<EndpointResponse> {
    const { topics, models, policy, clients, duplicates } = this.#parts
    const topic = topics.parseRequest(delivery.topic)
    const { client } = topic
    exchange.topic = topic
    exchange.target = requestedTarget(topics, client, delivery, exchange.target)
    const model = models.find(topic.model)
    exchange.model = model
    const operation = findOperation(model, topic.operation)
    exchange.operation = operation

    policy.check(client, model.name)
    const body = judgePayload(delivery, model, operation)
    const nowMs = performance.now()
    const budget = budgetMs(delivery.properties, model.timeoutMs)
    const deadline = new RequestDeadline(delivery.receivedAtMs, budget, nowMs)
    const { correlationData } = delivery.properties
    const running = new RunningRequest(topic, model.name, operation.name, correlationData, deadline)
    try {
      clients.enter(running, nowMs)
      try {
        const key = duplicateKey(running, delivery)
        // Without any name of its own, only the broker can say that it is the same request.
        const canBeKnown = topic.id !== undefined || correlationData !== undefined || delivery.dup
        const earlier = canBeKnown ? duplicates.find(key, nowMs) : undefined
        if (earlier !== undefined) return await this.#askAgain(delivery, earlier, deadline)
        const headers = this.#headers(delivery, model)
        const request = new AdmittedRequest(delivery.payload, body, headers, deadline)
        return await this.#askOnce(exchange, model, key, request)
      } finally {
        clients.leave(running)
      }
    } finally {
      deadline.end()
    }
  }

  // The same request runs, or its answer is remembered: there is no second call.
  async #askAgain(
    delivery: Delivery,
    earlier: Execution | Outcome,
    deadline: RequestDeadline,
  ): Promise<EndpointResponse> {
    this.#parts.telemetry.duplicates += 1
    delivery.releasePayload()
    const outcome =
      earlier instanceof Execution ? await this.#outcomeOf(earlier, delivery, deadline) : earlier
    if (isProblem(outcome)) throw outcome
    return outcome
  }

  async #outcomeOf(execution: Execution, delivery: Delivery, deadline: RequestDeadline): Promise<Outcome> {
    const { budget } = this.#parts
    budget.take(delivery.propertyBytes)
    try {
      return await execution.wait(deadline)
    } finally {
      budget.give(delivery.propertyBytes)
    }
  }

  // Whoever repeats the request meanwhile waits for this one; afterwards the outcome is remembered, if it is final.
  async #askOnce(
    exchange: Exchange,
    model: ExposedModel,
    key: string,
    request: EndpointRequest,
  ): Promise<EndpointResponse> {
    const { duplicates } = this.#parts
    const { delivery } = exchange
    const nowMs = performance.now()
    if (!model.repeatable && (delivery.dup || duplicates.mayHaveRun(key, nowMs))) {
      throw new Problem('maybe_executed', 'The request came before, and may have been executed then.')
    }
    const execution = duplicates.begin(key, nowMs, delivery.properties.messageExpiryInterval)
    try {
      const response = await this.#execute(exchange, model, request)
      duplicates.remember(execution, response)
      exchange.execution = execution
      return response
    } catch (error) {
      const problem = Problem.from(error)
      // What may pass is worth another call; whoever cancels and asks again means it.
      if (problem.retryable || problem.code === 'cancelled') duplicates.forget(execution, problem)
      else duplicates.remember(execution, problem)
      throw problem
    } finally {
      exchange.callEnded()
      if (exchange.turnBytes !== undefined) model.gate.leave(exchange.turnBytes)
      if (!model.repeatable && exchange.isStarted) duplicates.keepFact(execution)
    }
  }

  #execute(exchange: Exchange, model: ExposedModel, request: EndpointRequest): Promise<EndpointResponse> {
    const { suspicion } = this.#parts
    const suspect = suspicion?.suspectOf(exchange.delivery)
    return suspect === undefined
      ? this.#takeTurn(exchange, model, request)
      : this.#executeWatched(exchange, model, request, suspicion!, suspect)
  }

  async #executeWatched(
    exchange: Exchange,
    model: ExposedModel,
    request: EndpointRequest,
    suspicion: Suspicion,
    suspect: string,
  ): Promise<EndpointResponse> {
    await this.#enterSuspicion(suspect, suspicion, exchange, request)
    try {
      return await this.#takeTurn(exchange, model, request)
    } finally {
      suspicion.leave(suspect)
    }
  }

  // No promise of its own where nobody waits: most requests have their turn at once.
  #takeTurn(exchange: Exchange, model: ExposedModel, request: EndpointRequest): Promise<EndpointResponse> {
    const { delivery, operation, topic } = exchange
    const refusal = operation!.endpoint.refusal?.()
    if (refusal !== undefined) throw refusal
    const bytes = delivery.payload.length + delivery.propertyBytes
    const turn = model.gate.enter(topic!.client, bytes, request.deadline)
    if (turn === undefined) return this.#call(exchange, request, bytes)
    return turn.then(() => this.#call(exchange, request, bytes))
  }

  #call(exchange: Exchange, request: EndpointRequest, bytes: number): Promise<EndpointResponse> {
    exchange.turnBytes = bytes
    this.#refuseWhenRepliesPileUp()
    exchange.callStarted()
    return exchange.operation!.endpoint.call(request)
  }

  // A request that was under way each time that a process ended is not executed again.
  async #enterSuspicion(
    suspect: string,
    suspicion: Suspicion,
    exchange: Exchange,
    { deadline }: EndpointRequest,
  ): Promise<void> {
    if (suspicion.attemptsOf(suspect) >= ATTEMPTS_MAX) {
      throw new Problem(
        'internal',
        'The request ended the connector each time that it ran, and was set aside.',
        { detail: `${EXECUTIONS_MAX} attempts`, poison: true },
      )
    }
    const bytes = exchange.delivery.payload.length + exchange.delivery.propertyBytes
    this.#parts.budget.take(bytes)
    try {
      await suspicion.enter(suspect, deadline)
    } finally {
      this.#parts.budget.give(bytes)
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
    problemLog.report(problem, exchange.model?.name ?? UNKNOWN_MODEL, figures.operation, performance.now())
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
          { event: 'reply_refused', result, model: exchange.model?.name },
          `The broker takes no reply. Let the user of the connector write ${topics.root}/reply/#.`,
        )
        return true
      case 'closed':
        return false
    }
  }

  // The log has no payloads: without a dead letter, what the request was is known to its client alone.
  async #setAside({ delivery, model }: Exchange, problem: Problem): Promise<void> {
    const { telemetry, log, publish, deadLetterTopic } = this.#parts
    telemetry.setAside += 1
    const { topic, properties, payload } = delivery
    const attempts = EXECUTIONS_MAX
    let result: PublishResult | undefined
    if (deadLetterTopic !== undefined) {
      const letter = { topic, properties, payload, attempts, reason: problem.message }
      result = await publish({
        topic: deadLetterTopic,
        payload: deadLetterBody(letter, new Date()),
        qos: 1,
        retain: false,
        properties: { contentType: 'application/json', payloadFormatIndicator: 1 },
      })
    }
    log.error(
      { event: 'request_set_aside', topic, model: model?.name, attempts, deadLetterTopic, result },
      'A request ended the connector each time that it ran. It was answered `internal` and is not executed again.',
    )
  }

  // Idempotent, and without a reply of its own: the request that it stops is answered `cancelled`.
  #cancel(delivery: Delivery): void {
    const { topics, models, clients, telemetry, log } = this.#parts
    try {
      const { client, model, operation, id } = topics.parseCancel(delivery.topic)
      const { correlationData } = delivery.properties
      if (id === undefined && correlationData === undefined) {
        throw new Problem(
          'bad_topic',
          'A cancel message names no request: neither an id nor Correlation Data.',
        )
      }
      const exposed = models.find(model)
      const { name } = findOperation(exposed, operation)
      // A retained one would stop requests for ever.
      if (!delivery.retain)
        clients.cancel({ client, model: exposed.name, operation: name, id, correlationData })
    } catch (error) {
      log.debug({ event: 'cancel_ignored' }, Problem.from(error).message)
    }
    telemetry.cancels += 1
    delivery.release()
    delivery.settle()
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

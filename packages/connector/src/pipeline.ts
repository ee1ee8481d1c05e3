// The life of a request, top to bottom: route, admit, call, reply, settle. Only this file knows the order.
import { Problem } from '@inferwire/protocol'
import type { AdmittedRequest, Admission, ByteBudget } from './admission/index.ts'
import type { Cancels } from './cancels.ts'
import { duplicateKey, Execution, isNamed, isProblem, type Duplicates } from './duplicates/index.ts'
import { Exchange } from './exchange.ts'
import type { PoisonWatch } from './poison/index.ts'
import { problemReply, refusalOf, ReplyParts, successReply, type Reply } from './reply/index.ts'
import { setAside } from './set-aside.ts'
import type { Delivery, Outcome, PublishResult, Routed, Router } from './step.ts'
import { UNKNOWN_MODEL, type Log, type ProblemLog, type Telemetry } from './telemetry/index.ts'

/** What the pipeline works with. */
export interface PipelineParts {
  readonly router: Router
  readonly cancels: Cancels
  readonly admission: Admission
  readonly duplicates: Duplicates
  readonly poison: PoisonWatch
  /** Bytes of requests and replies that this process holds. */
  readonly budget: ByteBudget
  readonly publish: (reply: Reply) => Promise<PublishResult>
  /** Where requests go that end the process; undefined = nowhere. */
  readonly deadLetterTopic: string | undefined
  readonly telemetry: Telemetry
  readonly problemLog: ProblemLog
  readonly log: Log
}

/** Moves one request from MQTT to a model, and its answer back. */
export class Pipeline {
  readonly #parts: PipelineParts
  #inFlight = 0
  #whenIdle: (() => void) | undefined

  constructor(parts: PipelineParts) {
    this.#parts = parts
  }

  /** Requests that were taken and are not settled. */
  get inFlight(): number {
    return this.#inFlight
  }

  /** Resolves when no request is under way. */
  idle(): Promise<void> {
    return new Promise((resolve) => {
      this.#whenIdle = resolve
      if (this.#inFlight === 0) resolve()
    })
  }

  /** Takes a delivery; from here on it gets its answer and is settled, whatever happens. Never throws. */
  handle(delivery: Delivery): void {
    const { cancels, router, telemetry } = this.#parts
    if (cancels.take(delivery)) return
    const routing = router.route(delivery)
    if (routing === undefined) return this.#dropUnaddressable(delivery)
    const figures =
      'problem' in routing ? telemetry.figures(UNKNOWN_MODEL, UNKNOWN_MODEL) : routing.operation.figures
    void this.#serve(new Exchange(delivery, routing, figures))
  }

  async #serve(exchange: Exchange): Promise<void> {
    this.#begun(exchange)
    const outcome = await this.#answer(exchange)
    if (isProblem(outcome) && outcome.poison) await setAside(exchange, outcome, this.#parts)
    // Reply before acknowledgement: a crash in between repeats the work, never loses it.
    if (await this.#reply(exchange, outcome)) exchange.settle()
    this.#ended()
  }

  #begun({ delivery }: Exchange): void {
    this.#inFlight += 1
    if (delivery.dup) this.#parts.telemetry.redeliveries += 1
  }

  #ended(): void {
    this.#inFlight -= 1
    if (this.#inFlight === 0) this.#whenIdle?.()
  }

  // Admit; then join the equal request that runs or ran, or call the model. Never rejects.
  async #answer(exchange: Exchange): Promise<Outcome> {
    const { delivery, routing } = exchange
    if ('problem' in routing) return routing.problem
    const { admission, duplicates } = this.#parts
    let request: AdmittedRequest | undefined
    try {
      request = admission.admit(delivery, routing)
      const nowMs = performance.now()
      const key = duplicateKey(request, delivery)
      const earlier = isNamed(request, delivery) ? duplicates.find(key, nowMs) : undefined
      if (earlier !== undefined) return await this.#join(exchange, request, earlier)
      const execution = duplicates.begin(key, nowMs, delivery, routing.model.repeatable)
      exchange.execution = execution
      const outcome = await this.#call(exchange, routing, request, execution)
      // What an operation without a body asks for is a state, which changes.
      duplicates.ended(execution, outcome, !routing.operation.hasBody, performance.now())
      if (!routing.model.repeatable && exchange.isStarted) duplicates.keepFact(execution)
      return outcome
    } catch (error) {
      return Problem.from(error)
    } finally {
      if (request !== undefined) admission.leave(request)
    }
  }

  // There is no second call for an equal request. @throws the problem of its own deadline.
  async #join(exchange: Exchange, request: AdmittedRequest, earlier: Execution | Outcome): Promise<Outcome> {
    const { telemetry, budget } = this.#parts
    const { delivery } = exchange
    telemetry.duplicates += 1
    if (!(earlier instanceof Execution)) return earlier
    delivery.sharePayload(earlier.payload)
    const bytes = delivery.propertyBytes
    budget.take(bytes)
    try {
      const outcome = await earlier.wait(request.deadline)
      exchange.execution = earlier
      return outcome
    } finally {
      budget.give(bytes)
    }
  }

  // Call, when it is the request's turn. Never rejects; it ends when the broker has all parts of an answer in parts.
  async #call(
    exchange: Exchange,
    { client, model, operation }: Routed,
    request: AdmittedRequest,
    execution: Execution,
  ): Promise<Outcome> {
    const { bytes } = exchange
    let leaveWatch: (() => void) | undefined
    let hasTurn = false
    let parts: ReplyParts | undefined
    try {
      const watched = this.#enterWatch(exchange, request)
      if (watched !== undefined) leaveWatch = await watched
      const refusal = operation.endpoint.refusal?.()
      if (refusal !== undefined) throw refusal
      const turn = model.gate.enter(client, bytes, request.deadline)
      if (turn !== undefined) await turn
      hasTurn = true
      this.#refuseWhenRepliesPileUp()
      if (operation.mayEmit) parts = this.#openParts(exchange, request)
      exchange.callStarted()
      const response = await operation.endpoint.call(request)
      return parts === undefined ? response : await endParts(parts, execution, response)
    } catch (error) {
      const problem = Problem.from(error)
      return parts === undefined ? problem : await endParts(parts, execution, problem)
    } finally {
      exchange.callEnded()
      if (hasTurn) model.gate.leave(bytes)
      leaveWatch?.()
    }
  }

  // Publishes the outcome. Whether the duty to the requester is done: answered, or no answer can ever reach it.
  async #reply(exchange: Exchange, outcome: Outcome): Promise<boolean> {
    const { publish, budget, duplicates } = this.#parts
    const reply = this.#replyOf(exchange, outcome)
    // Nothing needs the request's bytes while the broker takes its time with the reply; the reply's are accounted for.
    exchange.delivery.release()
    const replyBytes = reply.payload.length
    budget.take(replyBytes)
    let result = await publish(reply)
    budget.give(replyBytes)
    let told = outcome
    const refusal = refusalOf(result)
    if (refusal !== undefined) {
      // Repeated, the request would get an answer that is refused again.
      if (exchange.execution !== undefined && !refusal.retryable) {
        duplicates.correct(exchange.execution, refusal)
      }
      told = refusal
      result = await publish(this.#replyOf(exchange, refusal))
    }
    if (result.kind === 'closed') return false
    exchange.figures.count(isProblem(told) ? told.code : 'ok')
    this.#judgeDelivered(exchange, result)
    return true
  }

  #replyOf(exchange: Exchange, outcome: Outcome): Reply {
    const { target, context, figures } = exchange
    if (!isProblem(outcome)) return successReply(target, outcome, context)
    this.#parts.problemLog.report(outcome, exchange.modelName, figures.operation, performance.now())
    return problemReply(target, outcome, context)
  }

  #judgeDelivered(exchange: Exchange, result: PublishResult): void {
    const { telemetry, log } = this.#parts
    if (result.kind === 'acknowledged') {
      // 0x10, MQTT 5 §3.4.2.1: the broker took it, and nobody subscribes.
      if (result.reasonCode === 0x10) telemetry.repliesWithoutSubscriber += 1
      return
    }
    // Not even the small error that took the reply's place: this broker can carry no answer.
    telemetry.dropped('reply_refused')
    log.error(
      { event: 'reply_refused', result, model: exchange.modelName, topic: exchange.target.topic },
      "The broker accepts no reply. Grant the connector's user write access to the reply topics.",
    )
  }

  #enterWatch(exchange: Exchange, { deadline }: AdmittedRequest): Promise<() => void> | undefined {
    const watched = this.#parts.poison.enter(exchange.delivery, deadline)
    if (watched === undefined) return undefined
    const { budget } = this.#parts
    const { bytes } = exchange
    budget.take(bytes)
    return watched.finally(() => budget.give(bytes))
  }

  // A broker that takes no replies must not make us collect them.
  #refuseWhenRepliesPileUp(): void {
    if (this.#parts.budget.hasRoom(0)) return
    throw new Problem('overloaded', 'Too many answers wait for the broker.', { retryAfterMs: 1_000 })
  }

  #openParts(exchange: Exchange, request: AdmittedRequest): ReplyParts {
    const { publish, budget, log } = this.#parts
    const parts = new ReplyParts(
      {
        publish,
        budget,
        misused: (what) => log.error({ event: 'fault', model: exchange.modelName }, what),
      },
      exchange.target,
      {
        expirySeconds: exchange.expirySecondsAt(performance.now()),
        isRedelivered: exchange.delivery.dup,
      },
      (problem) => request.deadline.stop(problem),
    )
    request.emit = parts.emit
    return parts
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

// Those who joined get the last message only, with the same number.
async function endParts(parts: ReplyParts, execution: Execution, outcome: Outcome): Promise<Outcome> {
  await parts.end()
  execution.partsSent = parts.sent
  return parts.problem ?? outcome
}

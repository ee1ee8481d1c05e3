// Processes a request in this order: route, admit, call, reply, settle. Only this file determines the order.
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

/** Dependencies of `Pipeline`. */
export interface PipelineRooms {
  readonly router: Router
  readonly cancels: Cancels
  readonly admission: Admission
  readonly duplicates: Duplicates
  readonly poison: PoisonWatch
  /** Counts the bytes of requests and replies that this process holds. */
  readonly budget: ByteBudget
  readonly publish: (reply: Reply) => Promise<PublishResult>
  /** Topic for requests that crash the process; undefined = they are not published. */
  readonly deadLetterTopic: string | undefined
  readonly telemetry: Telemetry
  readonly problemLog: ProblemLog
  readonly log: Log
}

/** Passes requests from MQTT to models, and publishes the replies. */
export class Pipeline {
  readonly #rooms: PipelineRooms
  readonly #streams = new Set<ReplyParts>()
  #interruption: Problem | undefined
  #inFlight = 0
  #isTaking = true
  #whenIdle: (() => void) | undefined

  constructor(rooms: PipelineRooms) {
    this.#rooms = rooms
  }

  /** Number of requests received and not yet settled. */
  get inFlight(): number {
    return this.#inFlight
  }

  /** Resolves when no request is in flight. */
  idle(): Promise<void> {
    return new Promise((resolve) => {
      this.#whenIdle = resolve
      if (this.#inFlight === 0) resolve()
    })
  }

  /** Begins the drain: from now on, only requests whose call has started are answered. */
  stopTaking(): void {
    this.#isTaking = false
  }

  /**
   * Ends all streams with `stream_interrupted`; streams that begin later end at their first part. A client that
   * has received parts must learn that no more follow, because its request cannot be executed again.
   */
  interruptStreams(): void {
    this.#interruption = new Problem('stream_interrupted', 'The connector shut down during the stream.')
    for (const stream of this.#streams) stream.interrupt(this.#interruption)
  }

  /** Processes a delivery, so that it is answered and settled. Never throws. */
  handle(delivery: Delivery): void {
    const { cancels, router, telemetry } = this.#rooms
    if (cancels.take(delivery)) return
    const routing = router.route(delivery)
    if (routing === undefined) return this.#dropUnaddressable(delivery)
    if ('peer' in routing) return this.#leaveToPeer(delivery)
    if ('until' in routing) return void this.#routeLater(delivery, routing.until)
    const figures =
      'problem' in routing ? telemetry.figures(UNKNOWN_MODEL, UNKNOWN_MODEL) : routing.operation.figures
    void this.#serve(new Exchange(delivery, routing, figures))
  }

  async #serve(exchange: Exchange): Promise<void> {
    this.#begun(exchange)
    const outcome = await this.#answer(exchange)
    // A superseded delivery is settled by its successor. A delivery without an outcome is redelivered after the
    // restart.
    if (outcome === undefined || exchange.isSuperseded) exchange.delivery.release()
    else {
      if (isProblem(outcome) && outcome.poison) await setAside(exchange, outcome, this.#rooms)
      // The reply is acknowledged before the request is. After a crash in between, the request runs again, but it is
      // not lost.
      if (await this.#reply(exchange, outcome)) exchange.settle()
    }
    this.#ended()
  }

  #begun({ delivery }: Exchange): void {
    this.#inFlight += 1
    if (delivery.dup) this.#rooms.telemetry.redeliveredRequests += 1
  }

  #ended(): void {
    this.#inFlight -= 1
    if (this.#inFlight === 0) this.#whenIdle?.()
  }

  // Admits the request, then joins a call for the same request or calls the model. Resolves with undefined if there is
  // no reply. Never rejects.
  async #answer(exchange: Exchange): Promise<Outcome | undefined> {
    const { delivery, routing } = exchange
    if ('problem' in routing) return routing.problem
    const { admission, duplicates } = this.#rooms
    let request: AdmittedRequest | undefined
    try {
      request = admission.admit(delivery, routing)
      exchange.request = request
      const nowMs = performance.now()
      const key = duplicateKey(request, delivery)
      // Without an id or Correlation Data, two requests with identical bytes may still be different requests.
      const earlier = isNamed(request, delivery) ? duplicates.find(key, nowMs) : undefined
      if (earlier !== undefined) return await this.#join(exchange, request, earlier)
      if (!this.#isTaking) return undefined
      const execution = duplicates.begin(key, nowMs, delivery, routing.model.repeatable)
      exchange.execution = execution
      execution.owner = exchange
      const outcome = await this.#call(exchange, routing, request, execution)
      if (execution.redelivery !== undefined) await this.#awaitRedelivery(exchange, execution, outcome)
      // Operations without a body (`ready`, `metadata`) report a changing state, so their outcome is not stored.
      duplicates.ended(execution, outcome, !routing.operation.hasBody, performance.now())
      // If the model is not repeatable, the request must not run again, even after its stored answer has been dropped.
      if (!routing.model.repeatable && exchange.isStarted) duplicates.keepFact(execution, outcome)
      return outcome
    } catch (error) {
      return Problem.from(error)
    } finally {
      if (request !== undefined) admission.leave(request)
    }
  }

  // Waits for the outcome of an earlier call for the same request. @throws the deadline's problem
  async #join(
    exchange: Exchange,
    request: AdmittedRequest,
    earlier: Execution | Outcome,
  ): Promise<Outcome | undefined> {
    const { telemetry, budget } = this.#rooms
    const { delivery } = exchange
    telemetry.duplicateRequests += 1
    if (!(earlier instanceof Execution)) return earlier
    earlier.isShared = true
    delivery.sharePayload(earlier.payload)
    request.body = earlier.payload
    // The payload is shared with the first request, and is already counted for that request.
    const bytes = delivery.propertyBytes
    budget.take(bytes)
    try {
      const outcome = await earlier.join(exchange, request.deadline)
      exchange.execution = earlier
      return outcome
    } catch (error) {
      exchange.hasLeftStream = earlier.hasStreamBegun
      throw error
    } finally {
      budget.give(bytes)
    }
  }

  // A delivery whose connection was lost is redelivered. Only the redelivery is answered, so that there is one reply.
  async #awaitRedelivery({ bytes }: Exchange, execution: Execution, outcome: Outcome): Promise<void> {
    const { budget } = this.#rooms
    const heldBytes = bytes + (isProblem(outcome) ? 0 : outcome.body.length)
    budget.take(heldBytes)
    for (let lost = execution.redelivery; lost !== undefined; lost = execution.redelivery) {
      await Promise.race([lost, execution.takenOver()])
    }
    budget.give(heldBytes)
  }

  // Waits for the request's turn and calls the model. Publishes every part of a multi-part answer. Never rejects.
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
      if (watched !== undefined) {
        request.mustRunAlone = true
        leaveWatch = await watched
      }
      const refusal = operation.endpoint.refusal?.()
      if (refusal !== undefined) throw refusal
      const turn = model.gate.enter(client, bytes, request.deadline, request.priority)
      if (turn !== undefined) await turn
      hasTurn = true
      this.#refuseWhenRepliesPileUp()
      if (operation.mayEmit) parts = this.#openParts(exchange, request, execution)
      exchange.callStarted()
      const response = await operation.endpoint.call(request)
      exchange.isBodySent = response.isBodySent === true && watched === undefined
      if (response.usage !== undefined) exchange.figures.countTokens(response.usage)
      return parts === undefined ? response : await endParts(parts, execution, response)
    } catch (error) {
      const problem = Problem.from(error)
      return parts === undefined ? problem : await endParts(parts, execution, problem)
    } finally {
      exchange.callEnded()
      if (parts !== undefined) this.#streams.delete(parts)
      if (hasTurn) model.gate.leave(bytes)
      leaveWatch?.()
    }
  }

  // Publishes the outcome. Returns whether the request can be settled: it was answered, or cannot be answered.
  async #reply(exchange: Exchange, outcome: Outcome): Promise<boolean> {
    const { publish, budget, duplicates } = this.#rooms
    const reply = this.#replyOf(exchange, outcome)
    // The request's bytes are no longer needed. The reply's bytes count against the budget until the broker has
    // acknowledged the reply.
    exchange.release()
    const replyBytes = reply.payload.length
    budget.take(replyBytes)
    let result = await publish(reply)
    budget.give(replyBytes)
    let published = outcome
    const refusal = refusalOf(result)
    if (refusal !== undefined) {
      // Store the refusal: otherwise a repeated request causes the same reply, which is refused again.
      if (exchange.execution !== undefined && !refusal.retryable) {
        duplicates.correct(exchange.execution, refusal)
      }
      published = refusal
      result = await publish(this.#replyOf(exchange, refusal))
    }
    if (result.kind === 'closed') return false
    exchange.figures.count(isProblem(published) ? published.code : 'ok')
    this.#noteResult(exchange, result)
    return true
  }

  #replyOf(exchange: Exchange, outcome: Outcome): Reply {
    const { target, context, figures } = exchange
    if (!isProblem(outcome)) return successReply(target, outcome, context)
    const { client } = exchange.routing
    const failed = { client, model: exchange.modelName, operation: figures.operation }
    this.#rooms.problemLog.report(outcome, failed, performance.now())
    return problemReply(target, outcome, context)
  }

  #noteResult(exchange: Exchange, result: PublishResult): void {
    const { telemetry, log } = this.#rooms
    if (result.kind === 'acknowledged') {
      // 0x10 (MQTT 5 §3.4.2.1): accepted, but without a matching subscriber.
      if (result.reasonCode === 0x10) telemetry.repliesWithoutSubscriber += 1
      return
    }
    // The broker refused even the small error that replaced the reply.
    telemetry.countUnanswered('reply_refused')
    log.error(
      { event: 'reply_refused', result, model: exchange.modelName, topic: exchange.target.topic },
      "The broker refused both the reply and the error that replaced it. Check the broker's limits, and grant the connector's user write access to the reply topics.",
    )
  }

  #enterWatch(exchange: Exchange, { deadline }: AdmittedRequest): Promise<() => void> | undefined {
    const watched = this.#rooms.poison.enter(exchange.delivery, deadline)
    if (watched === undefined) return undefined
    const { budget } = this.#rooms
    const { bytes } = exchange
    budget.take(bytes)
    return watched.finally(() => budget.give(bytes))
  }

  // Replies must not accumulate without limit if the broker does not acknowledge them.
  #refuseWhenRepliesPileUp(): void {
    if (this.#rooms.budget.hasRoom(0)) return
    throw new Problem('overloaded', 'Too many replies are waiting for the broker.', { retryAfterMs: 1_000 })
  }

  #openParts(exchange: Exchange, request: AdmittedRequest, execution: Execution): ReplyParts {
    const { publish, budget, log } = this.#rooms
    const parts = new ReplyParts(
      {
        publish,
        budget,
        began: () => {
          exchange.streamBegan()
          execution.hasStreamBegun = true
          if (request.deadline.streamBudgetMs !== undefined) {
            execution.streamBegan(request.deadline.streamBudgetMs)
          }
        },
        misused: (what) => log.error({ event: 'fault', model: exchange.modelName }, what),
      },
      exchange.target,
      {
        expirySeconds: exchange.expirySecondsAt(performance.now()),
        isRedelivered: exchange.delivery.dup,
      },
      (problem) => request.deadline.stop(problem),
    )
    this.#streams.add(parts)
    if (this.#interruption !== undefined) parts.interrupt(this.#interruption)
    request.emit = parts.emit
    return parts
  }

  // The peer has received the request too, and answers it.
  #leaveToPeer(delivery: Delivery): void {
    this.#rooms.telemetry.peerRequests += 1
    delivery.release()
    delivery.settle()
  }

  async #routeLater(delivery: Delivery, until: Promise<void>): Promise<void> {
    const { budget } = this.#rooms
    const bytes = delivery.payload.length + delivery.propertyBytes
    this.#inFlight += 1
    budget.take(bytes)
    await until
    budget.give(bytes)
    // If a redelivery is expected, the redelivery is routed instead of this delivery.
    if (delivery.redelivery === undefined) this.handle(delivery)
    this.#ended()
  }

  // This is the only problem that is never answered, because no reply topic can be derived from the request topic.
  #dropUnaddressable(delivery: Delivery): void {
    const { telemetry, problemLog } = this.#rooms
    telemetry.countUnanswered('unaddressable')
    const problem = new Problem(
      'bad_topic',
      'A request cannot be answered: its topic contains no client, or no valid reply topic can be derived from it.',
    )
    const failed = { client: undefined, model: UNKNOWN_MODEL, operation: UNKNOWN_MODEL }
    problemLog.report(problem, failed, performance.now())
    delivery.settle()
  }
}

// Repeated requests that joined the call receive only the last message, numbered after the preceding parts.
async function endParts(parts: ReplyParts, execution: Execution, outcome: Outcome): Promise<Outcome> {
  await parts.end()
  execution.partsSent = parts.sent
  return parts.problem ?? outcome
}

// The state of one request in flight: its routing, reply context and times.
import { isTraceparent, PROPERTY, userProperty, type Problem } from '@inferwire/protocol'
import type { AdmittedRequest } from './admission/index.ts'
import type { Execution, Requester } from './duplicates/index.ts'
import type { ReplyContext } from './reply/index.ts'
import type { Delivery, Misrouted, ReplyTarget, Routed } from './step.ts'
import type { OperationFigures } from './telemetry/index.ts'

/** One request in flight. */
export class Exchange implements Requester {
  readonly delivery: Delivery
  readonly routing: Routed | Misrouted
  readonly figures: OperationFigures
  /** The call that the request started or joined; undefined if it was rejected earlier or answered from the cache. */
  execution: Execution | undefined = undefined
  /** The admitted request; undefined before admission. */
  request: AdmittedRequest | undefined = undefined
  isSuperseded = false
  /** Whether the call has succeeded, and the transport has sent the body and does not need it any more. */
  isBodySent = false
  /** Whether the request joined a stream and left early, so that its reply may precede the end of the stream. */
  hasLeftStream = false
  #superseded: Delivery[] | undefined = undefined
  #startedAtMs: number | undefined = undefined
  #endedAtMs: number | undefined = undefined
  #context: ReplyContext | undefined = undefined

  constructor(delivery: Delivery, routing: Routed | Misrouted, figures: OperationFigures) {
    this.delivery = delivery
    this.routing = routing
    this.figures = figures
  }

  get target(): ReplyTarget {
    return this.routing.target
  }

  /** The model name for log lines. */
  get modelName(): string {
    return typeof this.routing.model === 'string' ? this.routing.model : this.routing.model.name
  }

  /** Bytes held while the request waits or runs. */
  get bytes(): number {
    return this.delivery.payload.length + this.delivery.propertyBytes
  }

  /** Whether the call to the model server has started. */
  get isStarted(): boolean {
    return this.#startedAtMs !== undefined
  }

  callStarted(): void {
    this.#startedAtMs = performance.now()
  }

  /** Records the time to the first part of a streamed answer. */
  streamBegan(): void {
    this.figures.firstPart.observe((performance.now() - this.delivery.receivedAtMs) / 1000)
  }

  /**
   * Records the end of the call. Does nothing if the request was rejected after it left the queue, but before its call.
   */
  callEnded(): void {
    if (this.#startedAtMs === undefined) return
    this.#endedAtMs = performance.now()
    const calledAtMs = this.#startedAtMs + (this.#batchMs ?? 0)
    this.figures.queue.observe((calledAtMs - this.delivery.receivedAtMs) / 1000)
    this.figures.upstream.observe((this.#endedAtMs - calledAtMs) / 1000)
  }

  /** Replaces `earlier`: only this exchange gets a reply, and both are settled together. */
  takeOver(earlier: Exchange): void {
    earlier.isSuperseded = true
    // This exchange is already counted among its client's requests in flight.
    earlier.request?.uncount()
    const open = [earlier.delivery, ...(earlier.#superseded ?? [])].filter(({ isLost }) => !isLost)
    if (open.length > 0) (this.#superseded ??= []).push(...open)
  }

  /** Frees the request. Its memory is reused, unless something else may still read the body. */
  release(): void {
    const { delivery, execution } = this
    const hasBodyAlone = this.isBodySent && execution?.owner === this && !execution.isShared
    if (hasBodyAlone && !delivery.isLost) delivery.recycle()
    else delivery.release()
  }

  stop(problem: Problem): void {
    this.request?.deadline.stop(problem)
  }

  /** Settles this delivery and the deliveries that it replaced, and records the duration. */
  settle(): void {
    this.delivery.settle()
    if (this.#superseded !== undefined) for (const delivery of this.#superseded) delivery.settle()
    this.figures.duration.observe((performance.now() - this.delivery.receivedAtMs) / 1000)
  }

  /** Returns the remaining Message Expiry Interval, at least 1, because a reply with 0 would expire in the broker. */
  expirySecondsAt(nowMs: number): number | undefined {
    const { receivedAtMs, properties } = this.delivery
    const { messageExpiryInterval } = properties
    if (messageExpiryInterval === undefined) return undefined
    return Math.max(1, Math.ceil(messageExpiryInterval - (nowMs - receivedAtMs) / 1000))
  }

  /**
   * The contents of a reply except its outcome. Computed once, before the delivery is released, and used for all
   * replies.
   */
  get context(): ReplyContext {
    this.#context ??= this.#takeContext()
    return this.#context
  }

  // Milliseconds that the request waited in a batch, between leaving the gate and the call.
  get #batchMs(): number | undefined {
    return this.request?.batchMs
  }

  #takeContext(): ReplyContext {
    const { receivedAtMs, properties } = this.delivery
    const nowMs = this.#endedAtMs ?? performance.now()
    const traceparent = userProperty(properties.userProperties, PROPERTY.traceparent)
    return {
      queueMs: (this.#startedAtMs ?? nowMs) - receivedAtMs,
      batchMs: this.#startedAtMs === undefined ? undefined : this.#batchMs,
      upstreamMs:
        this.#startedAtMs === undefined ? undefined : nowMs - this.#startedAtMs - (this.#batchMs ?? 0),
      expirySeconds: this.expirySecondsAt(nowMs),
      traceparent: traceparent !== undefined && isTraceparent(traceparent) ? traceparent : undefined,
      partsSent: this.execution?.partsSent ?? 0,
      endsUncountedStream: this.hasLeftStream,
    }
  }
}

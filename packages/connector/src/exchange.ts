// One request while it is under way: what it asks for, where its answer goes, how long it took.
import { isTraceparent, PROPERTY, userProperty } from '@inferwire/protocol'
import type { AdmittedRequest } from './admission/index.ts'
import type { Execution, Requester } from './duplicates/index.ts'
import type { ReplyContext } from './reply/index.ts'
import type { Delivery, Misrouted, ReplyTarget, Routed } from './step.ts'
import type { OperationFigures } from './telemetry/index.ts'

/** Complete when it is made; later come only its times, and what became of it. */
export class Exchange implements Requester {
  readonly delivery: Delivery
  readonly routing: Routed | Misrouted
  readonly figures: OperationFigures
  /** The call that answers it, begun or joined; undefined: rejected before, or answered from memory. */
  execution: Execution | undefined = undefined
  /** Once it is admitted. */
  request: AdmittedRequest | undefined = undefined
  isSuperseded = false
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

  /** For log lines and labels. */
  get modelName(): string {
    return typeof this.routing.model === 'string' ? this.routing.model : this.routing.model.name
  }

  /** Bytes that it holds while it waits or runs. */
  get bytes(): number {
    return this.delivery.payload.length + this.delivery.propertyBytes
  }

  /** The model server was asked. */
  get isStarted(): boolean {
    return this.#startedAtMs !== undefined
  }

  callStarted(): void {
    this.#startedAtMs = performance.now()
    this.figures.queue.observe((this.#startedAtMs - this.delivery.receivedAtMs) / 1000)
  }

  /** Does nothing when the call was never started: refused with its turn in hand. */
  callEnded(): void {
    if (this.#startedAtMs === undefined) return
    this.#endedAtMs = performance.now()
    this.figures.upstream.observe((this.#endedAtMs - this.#startedAtMs) / 1000)
  }

  /** It is replied to in the place of `earlier`, and settled together with it. */
  takeOver(earlier: Exchange): void {
    earlier.isSuperseded = true
    // Its place among the requests of its client is free: this one has a place of its own.
    earlier.request?.uncount()
    const open = [earlier.delivery, ...(earlier.#superseded ?? [])].filter(({ isLost }) => !isLost)
    if (open.length > 0) (this.#superseded ??= []).push(...open)
  }

  /** The duty to the requester is done. */
  settle(): void {
    this.delivery.settle()
    if (this.#superseded !== undefined) for (const delivery of this.#superseded) delivery.settle()
    this.figures.duration.observe((performance.now() - this.delivery.receivedAtMs) / 1000)
  }

  /** What is left of the Message Expiry Interval; at least 1, because 0 would expire before the broker can forward it. */
  expirySecondsAt(nowMs: number): number | undefined {
    const { receivedAtMs, properties } = this.delivery
    const { messageExpiryInterval } = properties
    if (messageExpiryInterval === undefined) return undefined
    return Math.max(1, Math.ceil(messageExpiryInterval - (nowMs - receivedAtMs) / 1000))
  }

  /** What every reply carries next to its outcome. Taken once, before the delivery is released: two replies may need it. */
  get context(): ReplyContext {
    this.#context ??= this.#takeContext()
    return this.#context
  }

  #takeContext(): ReplyContext {
    const { receivedAtMs, properties } = this.delivery
    const nowMs = this.#endedAtMs ?? performance.now()
    const traceparent = userProperty(properties.userProperties, PROPERTY.traceparent)
    return {
      queueMs: (this.#startedAtMs ?? nowMs) - receivedAtMs,
      upstreamMs: this.#startedAtMs === undefined ? undefined : nowMs - this.#startedAtMs,
      expirySeconds: this.expirySecondsAt(nowMs),
      traceparent: traceparent !== undefined && isTraceparent(traceparent) ? traceparent : undefined,
      partsSent: this.execution?.partsSent ?? 0,
    }
  }
}

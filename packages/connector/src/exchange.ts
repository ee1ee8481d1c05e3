// What is known about one request while it is under way: where its answer goes, what it means, how long it took.
import { isTraceparent, PROPERTY, userProperty, type RequestTopic } from '@inferwire/protocol'
import type { JudgedBody } from './admission/index.ts'
import type { Execution } from './duplicates/index.ts'
import type { ReplyContext } from './reply/index.ts'
import type {
  BoundOperation,
  Deadline,
  Delivery,
  EndpointRequest,
  ExposedModel,
  ReplyTarget,
  RequestContentType,
} from './step.ts'
import type { OperationFigures } from './telemetry/index.ts'

/** Filled by the pipeline, step by step. */
export class Exchange {
  readonly delivery: Delivery
  target: ReplyTarget
  topic: RequestTopic | undefined
  model: ExposedModel | undefined
  operation: BoundOperation | undefined
  /** Bytes that it entered the model's gate with, once it has its turn. */
  turnBytes: number | undefined
  /** Under which its answer is remembered. */
  execution: Execution | undefined
  #startedAtMs: number | undefined
  #endedAtMs: number | undefined

  constructor(delivery: Delivery, target: ReplyTarget) {
    this.delivery = delivery
    this.target = target
  }

  get figures(): OperationFigures | undefined {
    return this.operation?.figures
  }

  /** The model server was asked. */
  get isStarted(): boolean {
    return this.#startedAtMs !== undefined
  }

  callStarted(): void {
    this.#startedAtMs = performance.now()
    this.figures?.queue.observe((this.#startedAtMs - this.delivery.receivedAtMs) / 1000)
  }

  callEnded(): void {
    // Not begun: turned away with its turn in hand.
    if (this.#startedAtMs === undefined) return
    this.#endedAtMs = performance.now()
    this.figures?.upstream.observe((this.#endedAtMs - this.#startedAtMs) / 1000)
  }

  /** What the reply says beside its outcome. */
  context(): ReplyContext {
    const { receivedAtMs, properties } = this.delivery
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

/** What goes to the model server. A class: see `RunningRequest`. */
export class AdmittedRequest implements EndpointRequest {
  readonly body: Buffer
  readonly contentType: RequestContentType
  readonly inferenceHeaderContentLength: string | undefined
  readonly headers: readonly string[]
  readonly deadline: Deadline
  readonly emit = undefined

  constructor(
    body: Buffer,
    { contentType, inferenceHeaderContentLength }: JudgedBody,
    headers: readonly string[],
    deadline: Deadline,
  ) {
    this.body = body
    this.contentType = contentType
    this.inferenceHeaderContentLength = inferenceHeaderContentLength
    this.headers = headers
    this.deadline = deadline
  }
}

// Sets up a pipeline with its real rooms, a fake session and a fake endpoint.
import {
  dialectNames,
  dialectOf,
  TopicSpace,
  userProperty,
  type MessageProperties,
  type QoS,
} from '@inferwire/protocol'
import { Admission, ByteBudget, Clients, ModelGate, Policy } from '../admission/index.ts'
import { Cancels } from '../cancels.ts'
import { Duplicates } from '../duplicates/index.ts'
import { Pipeline } from '../pipeline.ts'
import { PoisonWatch } from '../poison/index.ts'
import type { Reply } from '../reply/index.ts'
import { ModelTable, StandardRouter } from '../route/index.ts'
import type {
  BoundOperation,
  Delivery,
  EndpointRequest,
  EndpointResponse,
  LeftToPeer,
  PublishResult,
  Undecided,
} from '../step.ts'
import { createLog, ProblemLog, Telemetry } from '../telemetry/index.ts'

/** The broker's acknowledgement of a reply. */
export const ACKNOWLEDGED: PublishResult = { kind: 'acknowledged', reasonCode: 0 }
/** The byte budget of all requests together. */
export const BYTES_IN_FLIGHT_MAX = 100_000

/** The parts of a delivery that a test may choose. */
type GivenParts = Partial<
  Pick<Delivery, 'topic' | 'qos' | 'dup' | 'connection' | 'packetId' | 'properties' | 'payload'>
>

/** A delivery that records when it was settled. Like a session's delivery, it has no properties after its release. */
export class TestDelivery implements Delivery {
  topic = 'infer/request/cam7/iris/infer'
  payload: Buffer = Buffer.from('{"inputs":[]}')
  payloadBytes = this.payload.length
  propertyBytes = 10
  isWhole = true
  qos: QoS = 1
  retain = false
  dup = false
  packetId = 1
  properties: MessageProperties = { correlationData: Buffer.from('c1') }
  receivedAtMs = performance.now()
  isReleased = false
  connection: object = {}
  isLost = false
  redelivery: Promise<void> | undefined
  /** The number of replies before the delivery was settled; undefined = not settled. */
  settledAfter: number | undefined
  isRecycled = false
  readonly #replies: readonly Reply[]

  constructor(replies: readonly Reply[], parts: GivenParts) {
    this.#replies = replies
    Object.assign(this, parts)
  }

  sharePayload(payload: Buffer): void {
    this.payload = payload
  }

  release(): void {
    this.isReleased = true
    this.payload = Buffer.alloc(0)
    this.properties = {}
  }

  recycle(): void {
    this.isRecycled = true
    this.release()
  }

  settle(): void {
    this.settledAfter ??= this.#replies.length
  }
}

/** A pipeline that serves the model `iris`. A test may replace `publish`, `call` and `answering` at any time. */
export class PipelineRig {
  /** The published replies, in order. */
  readonly replies: Reply[] = []
  readonly log: string[] = []
  readonly telemetry = new Telemetry()
  readonly budget = new ByteBudget(BYTES_IN_FLIGHT_MAX)
  readonly table = new ModelTable()
  readonly policy = new Policy([{ clients: ['cam*'], models: ['*'] }])
  readonly pipeline: Pipeline
  /** The fake session. */
  publish: (reply: Reply) => Promise<PublishResult> = () => Promise.resolve(ACKNOWLEDGED)
  /** The fake endpoint. */
  call: (request: EndpointRequest) => Promise<EndpointResponse> = () => Promise.resolve(ok())
  /** The number of calls of the fake endpoint. */
  calls = 0
  /** The fake peers. */
  answering: (model: string) => LeftToPeer | Undecided | undefined = () => undefined

  constructor() {
    const sink = { write: (line: string) => this.log.push(line) }
    const logger = createLog({ level: 'debug', format: 'json' }, sink)
    const topics = new TopicSpace('infer')
    const { table, telemetry, policy } = this
    const clients = new Clients({ inFlightMax: 100 })
    this.pipeline = new Pipeline({
      router: new StandardRouter({
        topics,
        models: table,
        policy,
        peers: { answering: (model) => this.answering(model) },
      }),
      cancels: new Cancels({ topics, models: table, clients, telemetry, log: logger }),
      admission: new Admission(policy, clients),
      duplicates: new Duplicates({ bytesMax: 100_000, windowMs: 60_000 }),
      poison: new PoisonWatch(),
      budget: this.budget,
      publish: (reply) => {
        this.replies.push(reply)
        return this.publish(reply)
      },
      deadLetterTopic: undefined,
      telemetry,
      problemLog: new ProblemLog(logger),
      log: logger,
    })
    this.expose()
  }

  /** Exposes the model `iris` with the operations `infer` and `ready`, and replaces an earlier one. */
  expose(parts: Partial<BoundOperation> = {}, repeatable = true, concurrency = 1): void {
    const gate = new ModelGate(
      'iris',
      { concurrency, queueDepthMax: 8, queueBytesMax: 10_000, queueWaitMaxMs: 1_000 },
      this.budget,
    )
    const operation = (name: 'infer' | 'ready', hasBody: boolean): BoundOperation => ({
      name,
      protocol: dialectOf('infer', dialectNames())!,
      hasBody,
      mayEmit: false,
      endpoint: {
        call: (request) => {
          this.calls += 1
          return this.call(request)
        },
      },
      figures: this.telemetry.figures('iris', name),
      ...parts,
    })
    const infer = operation('infer', true)
    this.table.set({
      name: 'iris',
      operations: new Map([
        ['infer', infer],
        ['ready', operation('ready', false)],
      ]),
      defaultOperation: infer,
      timeoutMs: 60_000,
      repeatable,
      requestBytesMax: 1_000,
      passHeaders: new Set(),
      gate,
    })
  }

  /** Creates a delivery: by default, a request of the client `cam7` with QoS 1. */
  delivery(parts: GivenParts = {}): TestDelivery {
    return new TestDelivery(this.replies, parts)
  }

  /** Creates a message that cancels the request of `delivery()`. */
  cancelMessage(): TestDelivery {
    return this.delivery({ topic: 'infer/cancel/cam7/iris/infer' })
  }

  /** Handles the deliveries; resolves when the pipeline is idle. */
  async handled(...deliveries: TestDelivery[]): Promise<void> {
    for (const delivery of deliveries) this.pipeline.handle(delivery)
    await this.pipeline.idle()
  }

  /** Returns the number of requests for each outcome. */
  outcomes(): Record<string, number> {
    return Object.fromEntries([...this.telemetry.all].flatMap((figures) => [...figures.outcomes]))
  }

  /** Returns the events of the log lines. */
  events(): unknown[] {
    return this.log.map((line) => (JSON.parse(line) as { event: unknown }).event)
  }

  /** Returns the body, `seq` and `final` of each reply. */
  seen(): unknown[] {
    return this.replies.map((reply) => [
      Buffer.from(reply.payload).toString(),
      property(reply, 'seq'),
      property(reply, 'final'),
    ])
  }
}

/** Returns the value of a reply's User Property. */
export function property(reply: Reply, name: string): string | undefined {
  return userProperty(reply.properties.userProperties, name)
}

/** Returns a response of the model server with status 200. */
export const ok = (body = '{"outputs":[]}'): EndpointResponse => ({
  status: 200,
  body: Buffer.from(body),
  contentType: 'application/json',
  inferenceHeaderContentLength: undefined,
})

/** Returns a part of a streamed answer. */
export const part = (body: string) => ({ body: Buffer.from(body), contentType: 'application/json' })

/** Resolves in the next turn of the event loop. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

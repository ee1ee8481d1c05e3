// Tests the pipeline with its real rooms, a fake session and a fake endpoint.
import { Problem, TopicSpace, userProperty, type MessageProperties, type QoS } from '@inferwire/protocol'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { Admission, ByteBudget, Clients, ModelGate, Policy } from './admission/index.ts'
import { Cancels } from './cancels.ts'
import { Duplicates } from './duplicates/index.ts'
import { Pipeline } from './pipeline.ts'
import { PoisonWatch } from './poison/index.ts'
import type { Reply } from './reply/index.ts'
import { ModelTable, StandardRouter } from './route/index.ts'
import type {
  BoundOperation,
  Delivery,
  EndpointRequest,
  EndpointResponse,
  LeftToPeer,
  PublishResult,
  Undecided,
} from './step.ts'
import { createLog, ProblemLog, Telemetry } from './telemetry/index.ts'

const ACKNOWLEDGED: PublishResult = { kind: 'acknowledged', reasonCode: 0 }
const TRACEPARENT = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
const BYTES_IN_FLIGHT_MAX = 100_000

const ok = (body = '{"outputs":[]}'): EndpointResponse => ({
  status: 200,
  body: Buffer.from(body),
  contentType: 'application/json',
  inferenceHeaderContentLength: undefined,
})

/** A delivery that records when it was settled. Like a session's delivery, it has no properties after its release. */
class TestDelivery implements Delivery {
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
  settledAfter: number | undefined
  isRecycled = false

  constructor(
    parts: Partial<
      Pick<Delivery, 'topic' | 'qos' | 'dup' | 'connection' | 'packetId' | 'properties' | 'payload'>
    > = {},
  ) {
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
    this.settledAfter ??= replies.length
  }
}

const sent = (): Promise<EndpointResponse> => Promise.resolve({ ...ok(), isBodySent: true })

let replies: Reply[]
let log: string[]
let telemetry: Telemetry
let budget: ByteBudget
let table: ModelTable
let pipeline: Pipeline
let publish: (reply: Reply) => Promise<PublishResult>
let call: (request: EndpointRequest) => Promise<EndpointResponse>
let calls: number
let answering: (model: string) => LeftToPeer | Undecided | undefined

beforeEach(() => {
  replies = []
  log = []
  calls = 0
  publish = () => Promise.resolve(ACKNOWLEDGED)
  call = () => Promise.resolve(ok())
  telemetry = new Telemetry()
  budget = new ByteBudget(BYTES_IN_FLIGHT_MAX)
  table = new ModelTable()
  const sink = { write: (line: string) => log.push(line) }
  const logger = createLog({ level: 'debug', format: 'json' }, sink)
  const topics = new TopicSpace('infer')
  const clients = new Clients({ inFlightMax: 100 })
  answering = () => undefined
  const policy = new Policy([{ clients: ['cam*'], models: ['*'] }])
  pipeline = new Pipeline({
    router: new StandardRouter({
      topics,
      models: table,
      policy,
      peers: { answering: (model) => answering(model) },
    }),
    cancels: new Cancels({ topics, models: table, clients, telemetry, log: logger }),
    admission: new Admission(policy, clients),
    duplicates: new Duplicates({ bytesMax: 100_000, windowMs: 60_000 }),
    poison: new PoisonWatch(),
    budget,
    publish: (reply) => {
      replies.push(reply)
      return publish(reply)
    },
    deadLetterTopic: undefined,
    telemetry,
    problemLog: new ProblemLog(logger),
    log: logger,
  })
  expose()
})

function expose(parts: Partial<BoundOperation> = {}, repeatable = true, concurrency = 1): void {
  const gate = new ModelGate(
    'iris',
    { concurrency, queueDepthMax: 8, queueBytesMax: 10_000, queueWaitMaxMs: 1_000 },
    budget,
  )
  const operation = (name: 'infer' | 'ready', hasBody: boolean): BoundOperation => ({
    name,
    protocol: 'v2',
    hasBody,
    mayEmit: false,
    endpoint: {
      call: (request) => {
        calls += 1
        return call(request)
      },
    },
    figures: telemetry.figures('iris', name),
    ...parts,
  })
  const infer = operation('infer', true)
  table.set({
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

async function handled(...deliveries: TestDelivery[]): Promise<void> {
  for (const delivery of deliveries) pipeline.handle(delivery)
  await pipeline.idle()
}

const property = (reply: Reply, name: string): string | undefined =>
  userProperty(reply.properties.userProperties, name)
const outcomes = (): Record<string, number> =>
  Object.fromEntries([...telemetry.all].flatMap((figures) => [...figures.outcomes]))
const bodyOf = (reply: Reply): string => Buffer.from(reply.payload).toString()
const events = (): unknown[] => log.map((line) => (JSON.parse(line) as { event: unknown }).event)

const cancelMessage = (): TestDelivery => new TestDelivery({ topic: 'infer/cancel/cam7/iris/infer' })

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

const part = (body: string) => ({ body: Buffer.from(body), contentType: 'application/json' })
const emitting =
  (...parts: string[]) =>
  (request: EndpointRequest): Promise<EndpointResponse> => {
    for (const body of parts) request.emit!(part(body))
    return Promise.resolve(ok('[DONE]'))
  }
const seen = (): unknown[] =>
  replies.map((reply) => [bodyOf(reply), property(reply, 'seq'), property(reply, 'final')])

describe('a request', () => {
  test('is answered on the derived topic, with its Correlation Data', async () => {
    const delivery = new TestDelivery()
    await handled(delivery)
    expect(replies).toMatchObject([
      { topic: 'infer/reply/cam7/iris/infer', properties: { correlationData: Buffer.from('c1') } },
    ])
    expect(property(replies[0]!, 'status')).toBe('200')
    expect(delivery.settledAfter).toBe(1)
    expect(outcomes()).toEqual({ ok: 1 })
    expect([pipeline.inFlight, budget.bytes]).toEqual([0, 0])
  })

  test('is settled only after the broker has acknowledged the reply', async () => {
    let acknowledge!: (result: PublishResult) => void
    publish = () => new Promise((resolve) => (acknowledge = resolve))
    const delivery = new TestDelivery()
    pipeline.handle(delivery)
    await expect.poll(() => replies.length).toBe(1)
    expect([delivery.settledAfter, outcomes()]).toEqual([undefined, {}])
    acknowledge(ACKNOWLEDGED)
    await pipeline.idle()
    expect([delivery.settledAfter, outcomes()]).toEqual([1, { ok: 1 }])
  })

  test('remains unsettled if the session is closed before the reply is acknowledged', async () => {
    publish = () => Promise.resolve({ kind: 'closed' })
    const delivery = new TestDelivery()
    await handled(delivery)
    expect([delivery.settledAfter, outcomes()]).toEqual([undefined, {}])
  })

  test('without a client in its topic is counted, logged and settled, but not answered', async () => {
    const delivery = new TestDelivery({ topic: 'infer/request/' })
    await handled(delivery)
    expect([delivery.settledAfter, replies.length]).toEqual([0, 0])
    expect([...telemetry.unanswered]).toContainEqual(['unaddressable', 1])
  })

  test.each([
    ['an unknown model', { topic: 'infer/request/cam7/rose/infer' }, 'model_not_found'],
    ['an unknown operation', { topic: 'infer/request/cam7/iris/predict' }, 'operation_not_supported'],
    ['a client without permission', { topic: 'infer/request/plc/iris/infer' }, 'model_not_found'],
    ['a body that is not JSON', { payload: Buffer.from('x') }, 'bad_payload'],
    [
      "another client's Response Topic",
      { properties: { responseTopic: 'infer/reply/plc/iris' } },
      'response_topic_forbidden',
    ],
  ])('with %s is answered with a typed error, without a call', async (_, parts, code) => {
    const delivery = new TestDelivery(parts)
    await handled(delivery)
    expect(replies.map((reply) => property(reply, 'code'))).toEqual([code])
    expect([delivery.settledAfter, calls, outcomes()]).toEqual([1, 0, { [code]: 1 }])
  })

  test("for a peer's model is settled without a reply", async () => {
    answering = () => ({ peer: 'other' })
    const delivery = new TestDelivery({ topic: 'infer/request/cam7/rose/infer' })
    await handled(delivery)
    expect([delivery.settledAfter, delivery.isReleased, replies.length]).toEqual([0, true, 0])
    expect([...telemetry.unanswered.values(), telemetry.peerRequests]).toEqual([0, 0, 1])
  })

  test('for an unknown model waits until the peers are known', async () => {
    let known!: () => void
    const until = new Promise<void>((resolve) => (known = resolve))
    answering = () => ({ until })
    const delivery = new TestDelivery({ topic: 'infer/request/cam7/rose/infer' })
    pipeline.handle(delivery)
    await turn()
    expect([delivery.settledAfter, replies.length]).toEqual([undefined, 0])
    expect([pipeline.inFlight, budget.bytes]).toEqual([1, delivery.payload.length + delivery.propertyBytes])
    answering = () => undefined
    known()
    await expect.poll(() => replies.map((reply) => property(reply, 'code'))).toEqual(['model_not_found'])
  })

  test('is answered with "internal" after an unexpected error of the endpoint, and later requests are served', async () => {
    call = () => {
      throw new TypeError('x is not a function')
    }
    await handled(new TestDelivery())
    call = () => Promise.resolve(ok())
    await handled(new TestDelivery({ properties: { correlationData: Buffer.from('c2') } }))
    expect(replies.map((reply) => property(reply, 'status'))).toEqual(['500', '200'])
    expect(budget.bytes).toBe(0)
  })

  test('is rejected when it leaves the queue, before the call, if unacknowledged replies exceed the budget', async () => {
    budget.take(BYTES_IN_FLIGHT_MAX + 1)
    await handled(new TestDelivery())
    expect([property(replies[0]!, 'code'), calls]).toEqual(['overloaded', 0])
    budget.give(BYTES_IN_FLIGHT_MAX + 1)
    expect(budget.bytes).toBe(0)
  })
})

describe('a reply that the broker refuses', () => {
  beforeEach(() => {
    publish = ({ payload }) =>
      Promise.resolve(
        payload.length > 500
          ? { kind: 'too-large', packetBytes: payload.length, packetBytesMax: 500 }
          : ACKNOWLEDGED,
      )
    call = () => Promise.resolve(ok(JSON.stringify('x'.repeat(600))))
  })

  test('is counted once, under the code of the error that replaces it', async () => {
    await handled(new TestDelivery())
    expect(outcomes()).toEqual({ response_too_large: 1 })
  })

  test('is replaced by an error with the same expiry and trace context', async () => {
    const properties = {
      correlationData: Buffer.from('c1'),
      messageExpiryInterval: 30,
      userProperties: ['traceparent', TRACEPARENT],
    }
    await handled(new TestDelivery({ properties }))
    const seen = replies.map((reply) => [
      property(reply, 'status'),
      property(reply, 'traceparent'),
      reply.properties.messageExpiryInterval,
      reply.properties.correlationData?.toString(),
    ])
    expect(seen).toEqual([
      ['200', TRACEPARENT, 30, 'c1'],
      ['502', TRACEPARENT, 30, 'c1'],
    ])
  })

  test('is not published again for a repeated request', async () => {
    await handled(new TestDelivery(), new TestDelivery())
    await handled(new TestDelivery())
    expect(calls).toBe(1)
    expect(property(replies.at(-1)!, 'code')).toBe('response_too_large')
  })

  test('is counted and logged as unanswered if the broker also refuses the error', async () => {
    publish = () => Promise.resolve({ kind: 'refused', reasonCode: 0x87 })
    const delivery = new TestDelivery()
    await handled(delivery)
    expect(delivery.settledAfter).toBe(2)
    expect([...telemetry.unanswered]).toContainEqual(['reply_refused', 1])
    expect(events()).toContain('reply_refused')
  })
})

describe('repeated requests', () => {
  test('join the running call, and each receives a reply', async () => {
    await handled(new TestDelivery(), new TestDelivery())
    expect([calls, replies.length, telemetry.duplicateRequests, telemetry.redeliveredRequests]).toEqual([
      1, 2, 1, 0,
    ])
  })

  test('without an id and Correlation Data are executed separately', async () => {
    await handled(new TestDelivery({ properties: {} }), new TestDelivery({ properties: {} }))
    expect(calls).toBe(2)
  })

  test('are executed again for operations that report a changing state', async () => {
    const topic = 'infer/request/cam7/iris/ready'
    await handled(new TestDelivery({ topic }))
    await handled(new TestDelivery({ topic }))
    expect(calls).toBe(2)
  })

  test('are answered with maybe_executed if the model must not run twice', async () => {
    expose({}, false)
    await handled(new TestDelivery({ dup: true }))
    expect([property(replies[0]!, 'code'), calls]).toEqual(['maybe_executed', 0])
  })
})

describe("the memory of a request's body", () => {
  test('is reused after a call whose transport has sent the body', async () => {
    call = sent
    const delivery = new TestDelivery()
    await handled(delivery)
    expect([delivery.isRecycled, delivery.isReleased, delivery.settledAfter]).toEqual([true, true, 1])
  })

  test('is not reused if the transport may still be sending the body', async () => {
    const delivery = new TestDelivery()
    await handled(delivery)
    expect([delivery.isRecycled, delivery.isReleased]).toEqual([false, true])
  })

  test('is not reused after an error', async () => {
    call = () => Promise.reject(new Problem('upstream_error', 'no', { status: 400 }))
    const delivery = new TestDelivery()
    await handled(delivery)
    expect(delivery.isRecycled).toBe(false)
  })

  test('is not reused if a repeated request shares it', async () => {
    let answer!: (response: EndpointResponse) => void
    call = () => new Promise((resolve) => (answer = resolve))
    const deliveries = [new TestDelivery(), new TestDelivery()]
    for (const delivery of deliveries) pipeline.handle(delivery)
    await turn()
    answer({ ...ok(), isBodySent: true })
    await pipeline.idle()
    expect(deliveries.map(({ isRecycled }) => isRecycled)).toEqual([false, false])
  })

  test('is not reused for a repeated request that is answered from memory', async () => {
    call = sent
    const deliveries = [new TestDelivery(), new TestDelivery()]
    await handled(deliveries[0]!)
    await handled(deliveries[1]!)
    expect(deliveries.map(({ isRecycled }) => isRecycled)).toEqual([true, false])
  })

  test('is not reused for a delivery whose connection was lost', async () => {
    const delivery = new TestDelivery()
    call = () => {
      delivery.isLost = true
      return sent()
    }
    await handled(delivery)
    expect(delivery.isRecycled).toBe(false)
  })
})

describe('a request whose connection was lost during its call', () => {
  let answer: (response: EndpointResponse) => void
  let redelivered: () => void

  const lost = (delivery: TestDelivery): TestDelivery => {
    delivery.isLost = true
    delivery.redelivery = new Promise((resolve) => {
      redelivered = () => {
        delivery.redelivery = undefined
        resolve()
      }
    })
    return delivery
  }

  beforeEach(() => {
    call = () => new Promise((resolve) => (answer = resolve))
  })

  test('is answered once if its redelivery arrives while the model runs', async () => {
    const delivery = new TestDelivery()
    const redelivery = new TestDelivery({ dup: true })
    pipeline.handle(delivery)
    lost(delivery)
    pipeline.handle(redelivery)
    answer(ok())
    await pipeline.idle()
    expect([replies.length, calls, redelivery.settledAfter]).toEqual([1, 1, 1])
    expect([outcomes(), budget.bytes]).toEqual([{ ok: 1 }, 0])
  })

  test('is answered once if the model answers before the redelivery arrives', async () => {
    const delivery = lost(new TestDelivery())
    pipeline.handle(delivery)
    answer(ok())
    await turn()
    expect(replies).toEqual([])
    expect(budget.bytes).toBeGreaterThan(0)
    await handled(new TestDelivery({ dup: true }))
    expect([replies.length, calls, budget.bytes]).toEqual([1, 1, 0])
  })

  test('receives two replies if the broker redelivers the request and a repeat of it on one connection', async () => {
    const connection = {}
    const first = new TestDelivery({ dup: true, connection })
    const repeat = new TestDelivery({ dup: true, connection, packetId: 2 })
    pipeline.handle(first)
    pipeline.handle(repeat)
    answer(ok())
    await pipeline.idle()
    expect([replies.length, calls]).toEqual([2, 1])
    expect([first.settledAfter, repeat.settledAfter]).toEqual([2, 2])
  })

  test('is answered if the broker does not redeliver it', async () => {
    pipeline.handle(lost(new TestDelivery()))
    answer(ok())
    await turn()
    expect(replies).toEqual([])
    redelivered()
    await pipeline.idle()
    expect([replies.length, budget.bytes]).toEqual([1, 0])
  })

  test('is answered once if the connection of its redelivery is also lost', async () => {
    pipeline.handle(lost(new TestDelivery()))
    const second = lost(new TestDelivery({ dup: true }))
    pipeline.handle(second)
    answer(ok())
    await turn()
    expect(replies).toEqual([])
    const third = new TestDelivery({ dup: true })
    await handled(third)
    expect([replies.length, calls, third.settledAfter]).toEqual([1, 1, 1])
  })

  test('receives a reply on each reply topic if it is repeated with a different reply topic', async () => {
    pipeline.handle(lost(new TestDelivery()))
    const correlationData = Buffer.from('c1')
    pipeline.handle(
      new TestDelivery({ properties: { correlationData, responseTopic: 'infer/reply/cam7/other' } }),
    )
    answer(ok())
    await turn()
    redelivered()
    await pipeline.idle()
    expect(replies.map(({ topic }) => topic).sort()).toEqual([
      'infer/reply/cam7/iris/infer',
      'infer/reply/cam7/other',
    ])
  })

  test('is not rejected when redelivered, even if the client has reached the limit of requests in flight', async () => {
    expose({}, true, 200)
    const answers: ((response: EndpointResponse) => void)[] = []
    call = () => new Promise((resolve) => answers.push(resolve))
    const deliveries = (dup: boolean): TestDelivery[] =>
      Array.from(
        { length: 100 },
        (_, index) => new TestDelivery({ dup, topic: `infer/request/cam7/iris/infer/${index}` }),
      )
    for (const delivery of deliveries(false)) pipeline.handle(lost(delivery))
    for (const delivery of deliveries(true)) pipeline.handle(delivery)
    // The client still has a hundred requests in flight, not two hundred.
    const tooMany = new TestDelivery({ topic: 'infer/request/cam7/iris/infer/new' })
    pipeline.handle(tooMany)
    for (const each of answers) each(ok())
    await turn()
    pipeline.handle(new TestDelivery({ topic: 'infer/request/cam7/iris/infer/newer' }))
    answers.at(-1)!(ok())
    await pipeline.idle()
    expect([calls, outcomes()]).toEqual([101, { ok: 101, overloaded: 1 }])
  })

  test("counts only once against the client's limit after the redelivery", async () => {
    const answers: ((response: EndpointResponse) => void)[] = []
    expose({}, true, 200)
    call = () => new Promise((resolve) => answers.push(resolve))
    const topics = Array.from({ length: 60 }, (_, index) => `infer/request/cam7/iris/infer/${index}`)
    let before = topics.map((topic) => new TestDelivery({ topic }))
    for (const delivery of before) pipeline.handle(delivery)
    for (let reconnect = 0; reconnect < 3; reconnect += 1) {
      for (const delivery of before) lost(delivery)
      before = topics.map((topic) => new TestDelivery({ topic, dup: true }))
      for (const delivery of before) pipeline.handle(delivery)
    }
    pipeline.handle(new TestDelivery({ topic: 'infer/request/cam7/iris/infer/new' }))
    for (const each of answers) each(ok())
    await pipeline.idle()
    expect([calls, outcomes()]).toEqual([61, { ok: 61 }])
  })

  test('is answered once if two sessions redeliver it, and both deliveries are settled with the reply', async () => {
    pipeline.handle(lost(new TestDelivery()))
    const copies = [new TestDelivery({ dup: true }), new TestDelivery({ dup: true, packetId: 9 })]
    for (const copy of copies) pipeline.handle(copy)
    let acknowledge!: (result: PublishResult) => void
    publish = () => new Promise((resolve) => (acknowledge = resolve))
    answer(ok())
    await expect.poll(() => replies.length).toBe(1)
    expect(copies.map(({ settledAfter }) => settledAfter)).toEqual([undefined, undefined])
    acknowledge(ACKNOWLEDGED)
    await pipeline.idle()
    expect([replies.length, ...copies.map(({ settledAfter }) => settledAfter)]).toEqual([1, 1, 1])
  })

  test('is still answered if a repeated request with QoS 0 joins it', async () => {
    pipeline.handle(lost(new TestDelivery()))
    pipeline.handle(new TestDelivery({ qos: 0, dup: true }))
    answer(ok())
    await turn()
    redelivered()
    await pipeline.idle()
    expect(replies).toHaveLength(2)
  })

  test('shares the payload of the first delivery with its redelivery', async () => {
    const first = new TestDelivery()
    pipeline.handle(first)
    const second = new TestDelivery({ dup: true, payload: Buffer.from('{"inputs":[]}') })
    pipeline.handle(second)
    expect(second.payload).toBe(first.payload)
    expect(budget.bytes).toBe(first.payload.length + first.propertyBytes + second.propertyBytes)
    answer(ok())
    await pipeline.idle()
  })

  test('is answered during a drain when redelivered; other requests are left for the next process', async () => {
    pipeline.handle(lost(new TestDelivery()))
    pipeline.stopTaking()
    const redelivery = new TestDelivery({ dup: true })
    const another = new TestDelivery({ dup: true, topic: 'infer/request/cam7/iris/infer/another' })
    pipeline.handle(redelivery)
    pipeline.handle(another)
    answer(ok())
    await pipeline.idle()
    expect([replies.length, calls, redelivery.settledAfter, another.settledAfter]).toEqual([
      1,
      1,
      1,
      undefined,
    ])
  })
})

describe('a multi-part answer', () => {
  beforeEach(() => expose({ mayEmit: true }))

  test('is numbered, ends with the response, and settles the request after the last acknowledgement', async () => {
    const acknowledge: ((result: PublishResult) => void)[] = []
    publish = () => new Promise((resolve) => acknowledge.push(resolve))
    call = emitting('1', '2')
    const delivery = new TestDelivery()
    pipeline.handle(delivery)
    await expect.poll(() => acknowledge.length).toBe(2)
    acknowledge.shift()!(ACKNOWLEDGED)
    acknowledge.shift()!(ACKNOWLEDGED)
    await expect.poll(() => acknowledge.length).toBe(1)
    expect(delivery.settledAfter).toBeUndefined()
    acknowledge.shift()!(ACKNOWLEDGED)
    await pipeline.idle()
    expect(seen()).toEqual([
      ['1', '0', undefined],
      ['2', '1', undefined],
      ['[DONE]', '2', 'true'],
    ])
    expect([delivery.settledAfter, outcomes(), budget.bytes]).toEqual([3, { ok: 1 }, 0])
  })

  test('without parts is a plain reply', async () => {
    call = emitting()
    await handled(new TestDelivery())
    expect(seen()).toEqual([['[DONE]', undefined, undefined]])
  })

  test('without parts is marked as the end of a stream if the endpoint streamed', async () => {
    call = () => Promise.resolve({ ...ok('[DONE]'), endsStream: true })
    await handled(new TestDelivery(), new TestDelivery())
    expect(seen()).toEqual([
      ['[DONE]', '0', 'true'],
      ['[DONE]', '0', 'true'],
    ])
    await handled(new TestDelivery())
    expect(calls).toBe(2)
  })

  test("may take longer than the model's timeout, even for a redelivery that joins it", async () => {
    vi.useFakeTimers()
    let end!: () => void
    call = (request) =>
      new Promise((resolve, reject) => {
        request.deadline.extend!(600_000)
        request.emit!(part('1'))
        end = () => resolve({ ...ok('[DONE]'), endsStream: true })
        request.deadline.waiting = reject
      })
    pipeline.handle(new TestDelivery())
    await vi.advanceTimersByTimeAsync(1)
    pipeline.handle(new TestDelivery())
    await vi.advanceTimersByTimeAsync(300_000)
    end()
    await vi.advanceTimersByTimeAsync(1)
    vi.useRealTimers()
    await pipeline.idle()
    expect(seen().slice(1)).toEqual([
      ['[DONE]', '1', 'true'],
      ['[DONE]', '1', 'true'],
    ])
    expect(telemetry.figures('iris', 'infer').firstPart.count).toBe(1)
  })

  test('reports its token counts in every reply, and adds them to the figures once', async () => {
    const usage = { promptTokens: 7, completionTokens: 3 }
    call = () => Promise.resolve({ ...ok('{}'), usage })
    await handled(new TestDelivery())
    await handled(new TestDelivery())
    expect(
      replies.map((reply) => [property(reply, 'prompt-tokens'), property(reply, 'completion-tokens')]),
    ).toEqual([
      ['7', '3'],
      ['7', '3'],
    ])
    // The second reply is the stored answer.
    expect([calls, telemetry.figures('iris', 'infer').tokens]).toEqual([1, { prompt: 7, completion: 3 }])
  })

  test('ends with a numbered, final error if the call fails', async () => {
    call = (request) => {
      request.emit!(part('1'))
      return Promise.reject(new Problem('stream_interrupted', 'The stream broke.'))
    }
    await handled(new TestDelivery())
    expect(replies.map((reply) => [property(reply, 'code'), property(reply, 'seq')])).toEqual([
      [undefined, '0'],
      ['stream_interrupted', '1'],
    ])
    expect(property(replies[1]!, 'final')).toBe('true')
  })

  test('is not stored for repeated requests: the model is called again', async () => {
    call = emitting('1')
    await handled(new TestDelivery())
    await handled(new TestDelivery())
    expect(calls).toBe(2)
  })

  test('sends only its last message, with its original number, to a repeated request that joined', async () => {
    call = emitting('1', '2')
    await handled(new TestDelivery(), new TestDelivery())
    expect(seen().slice(2)).toEqual([
      ['[DONE]', '2', 'true'],
      ['[DONE]', '2', 'true'],
    ])
    expect(calls).toBe(1)
  })

  test.each([
    ['it is cancelled', 'cancelled', () => pipeline.handle(cancelMessage())],
    ["the redelivery's deadline passes", 'deadline_exceeded', () => vi.advanceTimersByTimeAsync(20)],
  ])('ends with a numbered error after a redelivery if %s, and stops the call', async (_, code, end) => {
    vi.useFakeTimers()
    let stopped: Problem | undefined
    call = (request) =>
      new Promise((_resolve, reject) => {
        request.emit!(part('1'))
        request.deadline.waiting = (problem) => {
          stopped = problem
          reject(problem)
        }
      })
    const first = new TestDelivery()
    pipeline.handle(first)
    await vi.advanceTimersByTimeAsync(1)
    first.isLost = true
    const userProperties = ['timeout-ms', '20']
    const properties = { correlationData: Buffer.from('c1'), userProperties }
    const redelivery = new TestDelivery({ dup: true, properties })
    pipeline.handle(redelivery)
    await vi.advanceTimersByTimeAsync(1)
    await end()
    vi.useRealTimers()
    await pipeline.idle()
    expect(
      replies.map((reply) => [property(reply, 'code'), property(reply, 'seq'), property(reply, 'final')]),
    ).toEqual([
      [undefined, '0', undefined],
      [code, '1', 'true'],
    ])
    expect([stopped?.code, redelivery.settledAfter]).toEqual([code, 2])
  })

  test('does not start again when the request is redelivered', async () => {
    call = (request) =>
      new Promise((_, reject) => {
        request.deadline.waiting = reject
        request.emit!(part('1'))
      })
    await handled(new TestDelivery({ dup: true }))
    expect(replies.map((reply) => property(reply, 'code'))).toEqual(['stream_interrupted'])
    // An earlier process published the parts, so their number is unknown.
    expect([property(replies[0]!, 'seq'), property(replies[0]!, 'final')]).toEqual([undefined, 'true'])
  })

  test("is ended for a repeated request by that request's own deadline", async () => {
    let end!: () => void
    call = (request) =>
      new Promise((resolve) => {
        end = () => resolve(ok('[DONE]'))
        request.emit!(part('1'))
      })
    const properties = { correlationData: Buffer.from('c1'), userProperties: ['timeout-ms', '30'] }
    const repeat = new TestDelivery({ properties })
    pipeline.handle(new TestDelivery())
    pipeline.handle(repeat)
    await expect.poll(() => repeat.settledAfter).toBeDefined()
    const [, timedOut] = replies
    expect(['code', 'seq', 'final'].map((name) => property(timedOut!, name))).toEqual([
      'deadline_exceeded',
      undefined,
      'true',
    ])
    end()
    await pipeline.idle()
  })

  test.each([
    ['too large', { kind: 'too-large', packetBytes: 9, packetBytesMax: 8 } as const, 'response_too_large'],
    ['refused', { kind: 'refused', reasonCode: 0x97 } as const, 'internal'],
  ])('ends with an error if a part is %s, even if the endpoint succeeds', async (_, result, code) => {
    publish = (reply) => Promise.resolve(property(reply, 'seq') === '0' ? result : ACKNOWLEDGED)
    call = emitting('1', '2')
    const delivery = new TestDelivery()
    await handled(delivery)
    expect(property(replies.at(-1)!, 'code')).toBe(code)
    expect(property(replies.at(-1)!, 'final')).toBe('true')
    expect([delivery.settledAfter, budget.bytes]).toEqual([replies.length, 0])
  })

  test('is limited by the byte budget if the broker does not acknowledge its parts', async () => {
    const acknowledge: (() => void)[] = []
    publish = () => new Promise((resolve) => acknowledge.push(() => resolve(ACKNOWLEDGED)))
    call = (request) => {
      while (request.deadline.problem === undefined) request.emit!(part('x'.repeat(1_000)))
      return Promise.reject(request.deadline.problem)
    }
    pipeline.handle(new TestDelivery())
    await expect.poll(() => acknowledge.length).toBeGreaterThan(10)
    expect(budget.bytes).toBeLessThanOrEqual(BYTES_IN_FLIGHT_MAX)
    publish = () => Promise.resolve(ACKNOWLEDGED)
    for (const each of acknowledge) each()
    await pipeline.idle()
    expect(property(replies.at(-1)!, 'code')).toBe('stream_interrupted')
    expect(budget.bytes).toBe(0)
  })

  test('ends with stream_interrupted at the end of a drain, and its request is settled', async () => {
    expose({ mayEmit: true }, true, 3)
    let whole!: () => void
    let emitLate!: () => void
    const kinds: ((request: EndpointRequest, resolve: (response: EndpointResponse) => void) => void)[] = [
      (request) => request.emit!(part('1')),
      (_, resolve) => (whole = () => resolve(ok('whole'))),
      (request) => (emitLate = () => request.emit!(part('late'))),
    ]
    call = (request) =>
      new Promise((resolve, reject) => {
        request.deadline.waiting = reject
        kinds[calls - 1]!(request, resolve)
      })
    const topics = ['a', 'b', 'c'].map((id) => `infer/request/cam7/iris/infer/${id}`)
    const deliveries = topics.map((topic) => new TestDelivery({ topic }))
    for (const delivery of deliveries) pipeline.handle(delivery)
    await expect.poll(() => calls).toBe(3)
    pipeline.stopTaking()
    pipeline.interruptStreams()
    emitLate()
    whole()
    await pipeline.idle()
    const shown = replies.map((reply) => {
      const [code = '-', seq = '-', final = '-'] = ['code', 'seq', 'final'].map((name) =>
        property(reply, name),
      )
      return `${reply.topic.at(-1)}: ${code} ${seq} ${final}`
    })
    expect(shown.toSorted()).toEqual([
      'a: - 0 -',
      'a: stream_interrupted 1 true',
      'b: - - -',
      'c: stream_interrupted - true',
    ])
    expect(deliveries.every(({ settledAfter }) => settledAfter !== undefined)).toBe(true)
  })

  test('ignores a part that the endpoint emits after the end, and logs a fault', async () => {
    let emit!: NonNullable<EndpointRequest['emit']>
    call = (request) => {
      emit = request.emit!
      emit(part('1'))
      return Promise.resolve(ok('[DONE]'))
    }
    await handled(new TestDelivery())
    emit(part('2'))
    expect(seen()).toHaveLength(2)
    expect(events()).toContain('fault')
  })
})

describe('a cancel message', () => {
  test('cancels the named request, is settled, and receives no reply', async () => {
    call = ({ deadline }) =>
      new Promise((_, reject) => {
        deadline.waiting = reject
      })
    const request = new TestDelivery()
    pipeline.handle(request)
    const cancel = cancelMessage()
    pipeline.handle(cancel)
    await pipeline.idle()
    expect(replies.map((reply) => property(reply, 'code'))).toEqual(['cancelled'])
    expect([cancel.settledAfter, telemetry.cancelMessages]).toEqual([0, 1])
  })

  test('cancels a request whose model was removed', async () => {
    call = ({ deadline }) =>
      new Promise((_, reject) => {
        deadline.waiting = reject
      })
    pipeline.handle(new TestDelivery())
    table.delete('iris')
    pipeline.handle(cancelMessage())
    await pipeline.idle()
    expect(replies.map((reply) => property(reply, 'code'))).toEqual(['cancelled'])
  })

  test('is counted and settled even if it names no request', async () => {
    await handled(new TestDelivery({ topic: 'infer/cancel/cam7/iris/infer', properties: {} }))
    expect([replies.length, telemetry.cancelMessages]).toEqual([0, 1])
  })
})

// Tests how the pipeline answers repeated and redelivered requests.
import { beforeEach, describe, expect, test } from 'vitest'
import type { EndpointResponse, PublishResult } from './step.ts'
import { ACKNOWLEDGED, ok, PipelineRig, property, turn, type TestDelivery } from './testing/pipeline-rig.ts'

let rig: PipelineRig
beforeEach(() => void (rig = new PipelineRig()))

describe('repeated requests', () => {
  test('join the running call, and each receives a reply', async () => {
    await rig.handled(rig.delivery(), rig.delivery())
    expect([
      rig.calls,
      rig.replies.length,
      rig.telemetry.duplicateRequests,
      rig.telemetry.redeliveredRequests,
    ]).toEqual([1, 2, 1, 0])
  })

  test('without an id and Correlation Data are executed separately', async () => {
    await rig.handled(rig.delivery({ properties: {} }), rig.delivery({ properties: {} }))
    expect(rig.calls).toBe(2)
  })

  test('are executed again for operations that report a changing state', async () => {
    const topic = 'infer/request/cam7/iris/ready'
    await rig.handled(rig.delivery({ topic }))
    await rig.handled(rig.delivery({ topic }))
    expect(rig.calls).toBe(2)
  })

  test('are answered with maybe_executed if the model must not run twice', async () => {
    rig.expose({}, false)
    await rig.handled(rig.delivery({ dup: true }))
    expect([property(rig.replies[0]!, 'code'), rig.calls]).toEqual(['maybe_executed', 0])
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
    rig.call = () => new Promise((resolve) => (answer = resolve))
  })

  test('is answered once if its redelivery arrives while the model runs', async () => {
    const delivery = rig.delivery()
    const redelivery = rig.delivery({ dup: true })
    rig.pipeline.handle(delivery)
    lost(delivery)
    rig.pipeline.handle(redelivery)
    answer(ok())
    await rig.pipeline.idle()
    expect([rig.replies.length, rig.calls, redelivery.settledAfter]).toEqual([1, 1, 1])
    expect([rig.outcomes(), rig.budget.bytes]).toEqual([{ ok: 1 }, 0])
  })

  test('is answered once if the model answers before the redelivery arrives', async () => {
    const delivery = lost(rig.delivery())
    rig.pipeline.handle(delivery)
    answer(ok())
    await turn()
    expect(rig.replies).toEqual([])
    expect(rig.budget.bytes).toBeGreaterThan(0)
    await rig.handled(rig.delivery({ dup: true }))
    expect([rig.replies.length, rig.calls, rig.budget.bytes]).toEqual([1, 1, 0])
  })

  test('receives two replies if the broker redelivers the request and a repeat of it on one connection', async () => {
    const connection = {}
    const first = rig.delivery({ dup: true, connection })
    const repeat = rig.delivery({ dup: true, connection, packetId: 2 })
    rig.pipeline.handle(first)
    rig.pipeline.handle(repeat)
    answer(ok())
    await rig.pipeline.idle()
    expect([rig.replies.length, rig.calls]).toEqual([2, 1])
    expect([first.settledAfter, repeat.settledAfter]).toEqual([2, 2])
  })

  test('is answered if the broker does not redeliver it', async () => {
    rig.pipeline.handle(lost(rig.delivery()))
    answer(ok())
    await turn()
    expect(rig.replies).toEqual([])
    redelivered()
    await rig.pipeline.idle()
    expect([rig.replies.length, rig.budget.bytes]).toEqual([1, 0])
  })

  test('is answered once if the connection of its redelivery is also lost', async () => {
    rig.pipeline.handle(lost(rig.delivery()))
    const second = lost(rig.delivery({ dup: true }))
    rig.pipeline.handle(second)
    answer(ok())
    await turn()
    expect(rig.replies).toEqual([])
    const third = rig.delivery({ dup: true })
    await rig.handled(third)
    expect([rig.replies.length, rig.calls, third.settledAfter]).toEqual([1, 1, 1])
  })

  test('receives a reply on each reply topic if it is repeated with a different reply topic', async () => {
    rig.pipeline.handle(lost(rig.delivery()))
    const correlationData = Buffer.from('c1')
    rig.pipeline.handle(
      rig.delivery({ properties: { correlationData, responseTopic: 'infer/reply/cam7/other' } }),
    )
    answer(ok())
    await turn()
    redelivered()
    await rig.pipeline.idle()
    expect(rig.replies.map(({ topic }) => topic).sort()).toEqual([
      'infer/reply/cam7/iris/infer',
      'infer/reply/cam7/other',
    ])
  })

  test('is not rejected when redelivered, even if the client has reached the limit of requests in flight', async () => {
    rig.expose({}, true, 200)
    const answers: ((response: EndpointResponse) => void)[] = []
    rig.call = () => new Promise((resolve) => answers.push(resolve))
    const deliveries = (dup: boolean): TestDelivery[] =>
      Array.from({ length: 100 }, (_, index) =>
        rig.delivery({ dup, topic: `infer/request/cam7/iris/infer/${index}` }),
      )
    for (const delivery of deliveries(false)) rig.pipeline.handle(lost(delivery))
    for (const delivery of deliveries(true)) rig.pipeline.handle(delivery)
    // The client still has a hundred requests in flight, not two hundred.
    const tooMany = rig.delivery({ topic: 'infer/request/cam7/iris/infer/new' })
    rig.pipeline.handle(tooMany)
    for (const each of answers) each(ok())
    await turn()
    rig.pipeline.handle(rig.delivery({ topic: 'infer/request/cam7/iris/infer/newer' }))
    answers.at(-1)!(ok())
    await rig.pipeline.idle()
    expect([rig.calls, rig.outcomes()]).toEqual([101, { ok: 101, overloaded: 1 }])
  })

  test("counts only once against the client's limit after the redelivery", async () => {
    const answers: ((response: EndpointResponse) => void)[] = []
    rig.expose({}, true, 200)
    rig.call = () => new Promise((resolve) => answers.push(resolve))
    const topics = Array.from({ length: 60 }, (_, index) => `infer/request/cam7/iris/infer/${index}`)
    let before = topics.map((topic) => rig.delivery({ topic }))
    for (const delivery of before) rig.pipeline.handle(delivery)
    for (let reconnect = 0; reconnect < 3; reconnect += 1) {
      for (const delivery of before) lost(delivery)
      before = topics.map((topic) => rig.delivery({ topic, dup: true }))
      for (const delivery of before) rig.pipeline.handle(delivery)
    }
    rig.pipeline.handle(rig.delivery({ topic: 'infer/request/cam7/iris/infer/new' }))
    for (const each of answers) each(ok())
    await rig.pipeline.idle()
    expect([rig.calls, rig.outcomes()]).toEqual([61, { ok: 61 }])
  })

  test('is answered once if two sessions redeliver it, and both deliveries are settled with the reply', async () => {
    rig.pipeline.handle(lost(rig.delivery()))
    const copies = [rig.delivery({ dup: true }), rig.delivery({ dup: true, packetId: 9 })]
    for (const copy of copies) rig.pipeline.handle(copy)
    let acknowledge!: (result: PublishResult) => void
    rig.publish = () => new Promise((resolve) => (acknowledge = resolve))
    answer(ok())
    await expect.poll(() => rig.replies.length).toBe(1)
    expect(copies.map(({ settledAfter }) => settledAfter)).toEqual([undefined, undefined])
    acknowledge(ACKNOWLEDGED)
    await rig.pipeline.idle()
    expect([rig.replies.length, ...copies.map(({ settledAfter }) => settledAfter)]).toEqual([1, 1, 1])
  })

  test('is still answered if a repeated request with QoS 0 joins it', async () => {
    rig.pipeline.handle(lost(rig.delivery()))
    rig.pipeline.handle(rig.delivery({ qos: 0, dup: true }))
    answer(ok())
    await turn()
    redelivered()
    await rig.pipeline.idle()
    expect(rig.replies).toHaveLength(2)
  })

  test('shares the payload of the first delivery with its redelivery', async () => {
    const first = rig.delivery()
    rig.pipeline.handle(first)
    const second = rig.delivery({ dup: true, payload: Buffer.from('{"inputs":[]}') })
    rig.pipeline.handle(second)
    expect(second.payload).toBe(first.payload)
    expect(rig.budget.bytes).toBe(first.payload.length + first.propertyBytes + second.propertyBytes)
    answer(ok())
    await rig.pipeline.idle()
  })

  test('is answered during a drain when redelivered; other requests are left for the next process', async () => {
    rig.pipeline.handle(lost(rig.delivery()))
    rig.pipeline.stopTaking()
    const redelivery = rig.delivery({ dup: true })
    const another = rig.delivery({ dup: true, topic: 'infer/request/cam7/iris/infer/another' })
    rig.pipeline.handle(redelivery)
    rig.pipeline.handle(another)
    answer(ok())
    await rig.pipeline.idle()
    expect([rig.replies.length, rig.calls, redelivery.settledAfter, another.settledAfter]).toEqual([
      1,
      1,
      1,
      undefined,
    ])
  })
})

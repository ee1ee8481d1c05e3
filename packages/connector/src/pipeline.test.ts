// Tests how the pipeline answers requests, and what it does if the broker refuses a reply.
import { beforeEach, describe, expect, test } from 'vitest'
import type { PublishResult } from './step.ts'
import { ACKNOWLEDGED, BYTES_IN_FLIGHT_MAX, ok, PipelineRig, property, turn } from './testing/pipeline-rig.ts'

let rig: PipelineRig
beforeEach(() => void (rig = new PipelineRig()))

const TRACEPARENT = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'

describe('a request', () => {
  test('is answered on the derived topic, with its Correlation Data', async () => {
    const delivery = rig.delivery()
    await rig.handled(delivery)
    expect(rig.replies).toMatchObject([
      { topic: 'infer/reply/cam7/iris/infer', properties: { correlationData: Buffer.from('c1') } },
    ])
    expect(property(rig.replies[0]!, 'status')).toBe('200')
    expect(delivery.settledAfter).toBe(1)
    expect(rig.outcomes()).toEqual({ ok: 1 })
    expect([rig.pipeline.inFlight, rig.budget.bytes]).toEqual([0, 0])
  })

  test('is settled only after the broker has acknowledged the reply', async () => {
    let acknowledge!: (result: PublishResult) => void
    rig.publish = () => new Promise((resolve) => (acknowledge = resolve))
    const delivery = rig.delivery()
    rig.pipeline.handle(delivery)
    await expect.poll(() => rig.replies.length).toBe(1)
    expect([delivery.settledAfter, rig.outcomes()]).toEqual([undefined, {}])
    acknowledge(ACKNOWLEDGED)
    await rig.pipeline.idle()
    expect([delivery.settledAfter, rig.outcomes()]).toEqual([1, { ok: 1 }])
  })

  test('remains unsettled if the session is closed before the reply is acknowledged', async () => {
    rig.publish = () => Promise.resolve({ kind: 'closed' })
    const delivery = rig.delivery()
    await rig.handled(delivery)
    expect([delivery.settledAfter, rig.outcomes()]).toEqual([undefined, {}])
  })

  test('without a client in its topic is counted, logged and settled, but not answered', async () => {
    const delivery = rig.delivery({ topic: 'infer/request/' })
    await rig.handled(delivery)
    expect([delivery.settledAfter, rig.replies.length]).toEqual([0, 0])
    expect([...rig.telemetry.unanswered]).toContainEqual(['unaddressable', 1])
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
    const delivery = rig.delivery(parts)
    await rig.handled(delivery)
    expect(rig.replies.map((reply) => property(reply, 'code'))).toEqual([code])
    expect([delivery.settledAfter, rig.calls, rig.outcomes()]).toEqual([1, 0, { [code]: 1 }])
  })

  test("for a peer's model is settled without a reply", async () => {
    rig.answering = () => ({ peer: 'other' })
    const delivery = rig.delivery({ topic: 'infer/request/cam7/rose/infer' })
    await rig.handled(delivery)
    expect([delivery.settledAfter, delivery.isReleased, rig.replies.length]).toEqual([0, true, 0])
    expect([...rig.telemetry.unanswered.values(), rig.telemetry.peerRequests]).toEqual([0, 0, 1])
  })

  test('for an unknown model waits until the peers are known', async () => {
    let known!: () => void
    const until = new Promise<void>((resolve) => (known = resolve))
    rig.answering = () => ({ until })
    const delivery = rig.delivery({ topic: 'infer/request/cam7/rose/infer' })
    rig.pipeline.handle(delivery)
    await turn()
    expect([delivery.settledAfter, rig.replies.length]).toEqual([undefined, 0])
    expect([rig.pipeline.inFlight, rig.budget.bytes]).toEqual([
      1,
      delivery.payload.length + delivery.propertyBytes,
    ])
    rig.answering = () => undefined
    known()
    await expect.poll(() => rig.replies.map((reply) => property(reply, 'code'))).toEqual(['model_not_found'])
  })

  test('is answered with "internal" after an unexpected error of the endpoint, and later requests are served', async () => {
    rig.call = () => {
      throw new TypeError('x is not a function')
    }
    await rig.handled(rig.delivery())
    rig.call = () => Promise.resolve(ok())
    await rig.handled(rig.delivery({ properties: { correlationData: Buffer.from('c2') } }))
    expect(rig.replies.map((reply) => property(reply, 'status'))).toEqual(['500', '200'])
    expect(rig.budget.bytes).toBe(0)
  })

  test('is rejected when it leaves the queue, before the call, if unacknowledged replies exceed the budget', async () => {
    rig.budget.take(BYTES_IN_FLIGHT_MAX + 1)
    await rig.handled(rig.delivery())
    expect([property(rig.replies[0]!, 'code'), rig.calls]).toEqual(['overloaded', 0])
    rig.budget.give(BYTES_IN_FLIGHT_MAX + 1)
    expect(rig.budget.bytes).toBe(0)
  })
})

describe('a reply that the broker refuses', () => {
  beforeEach(() => {
    rig.publish = ({ payload }) =>
      Promise.resolve(
        payload.length > 500
          ? { kind: 'too-large', packetBytes: payload.length, packetBytesMax: 500 }
          : ACKNOWLEDGED,
      )
    rig.call = () => Promise.resolve(ok(JSON.stringify('x'.repeat(600))))
  })

  test('is counted once, under the code of the error that replaces it', async () => {
    await rig.handled(rig.delivery())
    expect(rig.outcomes()).toEqual({ response_too_large: 1 })
  })

  test('is replaced by an error with the same expiry and trace context', async () => {
    const properties = {
      correlationData: Buffer.from('c1'),
      messageExpiryInterval: 30,
      userProperties: ['traceparent', TRACEPARENT],
    }
    await rig.handled(rig.delivery({ properties }))
    const seen = rig.replies.map((reply) => [
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
    await rig.handled(rig.delivery(), rig.delivery())
    await rig.handled(rig.delivery())
    expect(rig.calls).toBe(1)
    expect(property(rig.replies.at(-1)!, 'code')).toBe('response_too_large')
  })

  test('is counted and logged as unanswered if the broker also refuses the error', async () => {
    rig.publish = () => Promise.resolve({ kind: 'refused', reasonCode: 0x87 })
    const delivery = rig.delivery()
    await rig.handled(delivery)
    expect(delivery.settledAfter).toBe(2)
    expect([...rig.telemetry.unanswered]).toContainEqual(['reply_refused', 1])
    expect(rig.events()).toContain('reply_refused')
  })
})

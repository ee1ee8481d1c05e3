import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { AdmittedRequest } from './admission/index.ts'
import { Exchange } from './exchange.ts'
import type { Delivery, Routed } from './step.ts'
import { OperationFigures } from './telemetry/index.ts'

const TRACEPARENT = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }))
afterEach(() => void vi.useRealTimers())

function exchangeOf(properties: Delivery['properties'] = {}): Exchange {
  const delivery = {
    properties,
    payload: Buffer.alloc(100),
    propertyBytes: 20,
    receivedAtMs: performance.now(),
    settle: () => {},
    release(this: { properties: object }) {
      this.properties = {}
    },
  } as unknown as Delivery
  const routing = { model: { name: 'iris' }, target: { topic: 't' } } as unknown as Routed
  return new Exchange(delivery, routing, new OperationFigures('iris', 'infer'))
}

test('records the waiting time, the duration of the call, and the total duration', () => {
  const exchange = exchangeOf()
  vi.advanceTimersByTime(30)
  exchange.callStarted()
  vi.advanceTimersByTime(200)
  exchange.callEnded()
  vi.advanceTimersByTime(1_000)
  expect(exchange.context).toMatchObject({ queueMs: 30, upstreamMs: 200, partsSent: 0 })
  exchange.settle()
  const { queue, upstream, duration } = exchange.figures
  expect([queue.sum, upstream.sum, duration.sum].map((sum) => Math.round(sum * 1000))).toEqual([
    30, 200, 1_230,
  ])
})

test('the wait in a batch is part of the waiting time, and is also reported separately', () => {
  const exchange = exchangeOf()
  exchange.request = { batchMs: 50 } as AdmittedRequest
  vi.advanceTimersByTime(30)
  exchange.callStarted()
  vi.advanceTimersByTime(200)
  exchange.callEnded()
  expect(exchange.context).toMatchObject({ queueMs: 30, batchMs: 50, upstreamMs: 150 })
  const { queue, upstream } = exchange.figures
  expect([queue.sum, upstream.sum].map((sum) => Math.round(sum * 1000))).toEqual([80, 150])
})

test('records no upstream time if there was no call', () => {
  const exchange = exchangeOf()
  vi.advanceTimersByTime(30)
  exchange.callEnded()
  expect(exchange.context).toMatchObject({ queueMs: 30, upstreamMs: undefined })
  expect([exchange.isStarted, exchange.figures.upstream.count]).toEqual([false, 0])
})

test('computes the reply context once, so that it survives the release of the delivery', () => {
  const exchange = exchangeOf({
    messageExpiryInterval: 10,
    userProperties: ['traceparent', TRACEPARENT],
  })
  vi.advanceTimersByTime(2_500)
  const { context } = exchange
  expect(context).toMatchObject({ expirySeconds: 8, traceparent: TRACEPARENT })
  exchange.delivery.release()
  vi.advanceTimersByTime(5_000)
  expect(exchange.context).toBe(context)
})

test('the reply context has an expiry of at least one second, and omits an invalid traceparent', () => {
  const exchange = exchangeOf({ messageExpiryInterval: 1, userProperties: ['traceparent', 'x'] })
  vi.advanceTimersByTime(5_000)
  expect(exchange.context).toMatchObject({ expirySeconds: 1, traceparent: undefined })
})

test('an exchange provides its size (payload and properties) and its model name', () => {
  const exchange = exchangeOf()
  expect([exchange.bytes, exchange.modelName]).toEqual([120, 'iris'])
})

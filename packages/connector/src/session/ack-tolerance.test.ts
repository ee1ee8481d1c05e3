import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { AckOrder } from './ack-order.ts'
import { AckTolerance } from './ack-tolerance.ts'
import { ReceivedDelivery } from './delivery.ts'

const RECEIVE_MAXIMUM = 1_000
const QUIET_MS = 5_000

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

function arrange() {
  const warnings: string[] = []
  let reconnects = 0
  const tolerance = new AckTolerance({
    reconnect: () => void (reconnects += 1),
    insists: (symptom) => void warnings.push(symptom),
  })
  const connect = (sessionPresent = true) => {
    tolerance.connected(sessionPresent)
    const order: AckOrder = new AckOrder({
      epoch: 1,
      holdMaxMs: tolerance.isStrict ? Number.POSITIVE_INFINITY : 0,
      acknowledge: () => {},
      overtook: () => tolerance.overtook(order, RECEIVE_MAXIMUM),
    })
    let packetId = 0
    const receive = (dup = false): ReceivedDelivery => {
      const nothing = { topic: 't', payload: Buffer.alloc(0), payloadBytes: 0, propertyBytes: 0 }
      packetId += 1
      const publish = {
        ...nothing,
        isWhole: true,
        retain: false,
        dup,
        qos: 1 as const,
        packetId,
        properties: {},
      }
      const delivery = new ReceivedDelivery(publish, performance.now(), order)
      order.received(delivery)
      if (tolerance.isProbing) tolerance.redelivered(dup)
      return delivery
    }
    const answer = (count: number): void => {
      for (let done = 0; done < count; done++) receive().settle()
    }
    const end = (isByBroker: boolean): void => {
      order.end()
      tolerance.ended(order, isByBroker)
    }
    return { order, receive, answer, end }
  }
  return { tolerance, connect, warnings, reconnects: () => reconnects }
}

test('detects a broker that hangs up on the first out-of-order PUBACK, and reports it once', () => {
  const { tolerance, connect, warnings } = arrange()
  const first = connect()
  first.receive()
  first.answer(1)
  first.end(true)
  expect(tolerance.isStrict).toBe(true)
  const second = connect()
  second.receive()
  second.answer(20)
  vi.advanceTimersByTime(20 * QUIET_MS)
  second.end(true)
  expect(warnings).toEqual(['ended the connection after the first such PUBACK'])
})

test.each([
  ['the connector ended it', false, 0],
  ['it came more than a second after the PUBACK', true, 1_001],
])('draws no conclusion from the end of a connection if %s', (_what, isByBroker, afterMs) => {
  const { tolerance, connect, warnings } = arrange()
  const { receive, answer, end } = connect()
  receive()
  answer(1)
  vi.advanceTimersByTime(afterMs)
  end(isByBroker)
  expect(warnings).toEqual([])
  expect(tolerance.isStrict).toBe(false)
})

test('detects a broker that twice in a row answers the ping and then soon ends the connection', () => {
  const { tolerance, connect, warnings } = arrange()
  for (const isStrict of [false, true]) {
    const { receive, answer, end } = connect()
    receive()
    answer(1)
    tolerance.answered()
    end(true)
    expect(tolerance.isStrict).toBe(isStrict)
  }
  expect(warnings).toHaveLength(1)
})

test('trusts a broker that has accepted out-of-order PUBACKs before', () => {
  const { connect, warnings } = arrange()
  const first = connect()
  first.receive()
  first.answer(1)
  vi.advanceTimersByTime(1_001)
  first.end(true)
  const second = connect()
  second.receive()
  second.answer(1)
  second.end(true)
  expect(warnings).toEqual([])
})

test('draws no conclusion from the end of a connection on which no PUBACK was out of order', () => {
  const { connect, warnings } = arrange()
  const { answer, end } = connect()
  answer(20)
  end(true)
  expect(warnings).toEqual([])
})

test('detects a broker that stops delivering and redelivers acknowledged messages', () => {
  const { tolerance, connect, warnings, reconnects } = arrange()
  const first = connect()
  first.receive()
  first.answer(31)
  vi.advanceTimersByTime(2 * QUIET_MS)
  expect(reconnects()).toBe(1)
  first.end(false)
  expect([tolerance.isStrict, tolerance.isProbing]).toEqual([true, true])
  const second = connect()
  for (let count = 0; count < 32; count++) second.receive(true)
  expect(warnings).toEqual(['redelivered messages that had been acknowledged out of order'])
  expect([tolerance.isStrict, tolerance.isProbing]).toEqual([true, false])
})

test('detects a broker that ignores out-of-order PUBACKs, even after every request has been answered', () => {
  const { connect, warnings, reconnects } = arrange()
  const first = connect()
  const slow = first.receive()
  first.answer(31)
  slow.settle()
  first.answer(1)
  vi.advanceTimersByTime(2 * QUIET_MS)
  expect(reconnects()).toBe(1)
  first.end(false)
  const second = connect()
  for (let count = 0; count < 32; count++) second.receive(true)
  expect(warnings).toHaveLength(1)
})

test('does not suspect a broker again if it redelivered only open messages during a probe', () => {
  const { tolerance, connect, warnings, reconnects } = arrange()
  const first = connect()
  for (let count = 0; count < 3; count++) first.receive()
  first.answer(31)
  vi.advanceTimersByTime(2 * QUIET_MS)
  first.end(false)
  const second = connect()
  // Some brokers assign new identifiers to redelivered messages.
  for (let count = 0; count < 3; count++) second.receive(true)
  expect(tolerance.isProbing).toBe(true)
  second.answer(1)
  expect([tolerance.isStrict, tolerance.isProbing]).toEqual([false, false])
  second.end(true)
  const third = connect()
  third.receive()
  third.answer(31)
  vi.advanceTimersByTime(20 * QUIET_MS)
  expect([warnings, reconnects()]).toEqual([[], 1])
})

test('does not suspect a broker that keeps delivering', () => {
  const { connect, reconnects } = arrange()
  const { receive, answer } = connect()
  receive()
  for (let count = 0; count < 40; count++) {
    answer(1)
    vi.advanceTimersByTime(QUIET_MS - 1)
  }
  expect(reconnects()).toBe(0)
})

test('does not probe if fewer than ten PUBACKs may have been ignored', () => {
  const { connect, reconnects } = arrange()
  const { receive, answer } = connect()
  for (let count = 0; count < 20; count++) receive()
  answer(9)
  vi.advanceTimersByTime(20 * QUIET_MS)
  expect(reconnects()).toBe(0)
})

test('does not probe until as many messages are in flight as there were on an earlier connection', () => {
  const { connect, reconnects } = arrange()
  const first = connect()
  for (let count = 0; count < 50; count++) first.receive()
  first.end(false)
  const second = connect()
  second.receive()
  second.answer(30)
  vi.advanceTimersByTime(4 * QUIET_MS)
  expect(reconnects()).toBe(0)
  second.answer(20)
  vi.advanceTimersByTime(2 * QUIET_MS)
  expect(reconnects()).toBe(1)
})

test('stops watching a broker that delivers more messages than Receive Maximum allows', () => {
  const { connect, reconnects } = arrange()
  const { receive, answer } = connect()
  receive()
  answer(RECEIVE_MAXIMUM)
  vi.advanceTimersByTime(20 * QUIET_MS)
  expect(reconnects()).toBe(0)
  expect(vi.getTimerCount()).toBe(0)
})

test('ends the probe and forgets how many messages were in flight if the broker has discarded the session', () => {
  const { tolerance, connect, reconnects } = arrange()
  const first = connect()
  first.receive()
  first.answer(100)
  vi.advanceTimersByTime(2 * QUIET_MS)
  first.end(false)
  const second = connect(false)
  expect([tolerance.isStrict, tolerance.isProbing]).toEqual([false, false])
  second.receive()
  second.answer(20)
  vi.advanceTimersByTime(2 * QUIET_MS)
  expect(reconnects()).toBe(2)
})

test('does not probe during a drain', () => {
  const { tolerance, connect, reconnects } = arrange()
  const { receive, answer } = connect()
  receive()
  answer(20)
  tolerance.stop()
  vi.advanceTimersByTime(20 * QUIET_MS)
  expect(reconnects()).toBe(0)
})

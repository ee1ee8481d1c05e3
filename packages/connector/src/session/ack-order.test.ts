// Tests the order of PUBACKs: strict, bounded and as-settled.
import fc from 'fast-check'
import { afterEach, expect, test, vi } from 'vitest'
import type { ReceivedDelivery } from './delivery.ts'
import { arrange, AS_SETTLED, HOLD_MS, STRICT } from './testing/ack-arrangement.ts'

afterEach(() => void vi.useRealTimers())

const shuffled = fc
  .integer({ min: 1, max: 200 })
  .chain((count) => fc.shuffledSubarray([...Array(count).keys()], { minLength: count }))

test('acknowledges in the order of arrival, in whatever order deliveries are settled', () => {
  fc.assert(
    fc.property(shuffled, fc.constantFrom(STRICT, HOLD_MS), (settleOrder, holdMaxMs) => {
      const { sent, order, receive } = arrange(holdMaxMs)
      const deliveries = settleOrder.map((_, index) => receive(index + 1))
      const settled = new Set<number>()
      for (const index of settleOrder) {
        deliveries[index]!.settle()
        settled.add(index)
        let prefix = 0
        while (settled.has(prefix)) prefix += 1
        expect(sent).toEqual(Array.from({ length: prefix }, (_, position) => position + 1))
        expect(order.pending).toBe(deliveries.length - prefix)
      }
      order.end()
    }),
  )
})

test('keeps nothing in memory after a long stream of acknowledgements', () => {
  const { sent, order, receive, receiveMany } = arrange(STRICT)
  const first = receive(1)
  for (const delivery of receiveMany(2, 5000)) delivery.settle()
  expect(sent).toEqual([])
  first.settle()
  expect(sent).toHaveLength(5001)
  expect(order.pending).toBe(0)
})

test('acknowledges once if a delivery is settled twice', () => {
  const { sent, receive } = arrange(STRICT)
  const delivery = receive(7)
  delivery.settle()
  delivery.settle()
  expect(sent).toEqual([7])
})

test('acknowledges nothing after the connection has ended, because the next session assigns identifiers afresh', () => {
  vi.useFakeTimers()
  const { sent, order, receive } = arrange(HOLD_MS)
  const first = receive(1)
  const second = receive(2)
  second.settle()
  order.end()
  first.settle()
  vi.advanceTimersByTime(2 * HOLD_MS)
  expect(sent).toEqual([])
  expect(vi.getTimerCount()).toBe(0)
})

test('ignores QoS 0 deliveries', () => {
  const { sent, order, receive } = arrange(STRICT)
  receive(0, 0).settle()
  expect(sent).toEqual([])
  expect(order.pending).toBe(0)
})

test('with ack order "as-settled", acknowledges at once, and counts the unacknowledged deliveries', () => {
  fc.assert(
    fc.property(shuffled, (settleOrder) => {
      const { sent, order, receiveMany } = arrange(AS_SETTLED)
      const deliveries = receiveMany(1, settleOrder.length)
      for (const [count, index] of settleOrder.entries()) {
        deliveries[index]!.settle()
        expect(sent.at(-1)).toBe(index + 1)
        expect(order.pending).toBe(deliveries.length - count - 1)
      }
      expect(sent).toHaveLength(deliveries.length)
    }),
  )
})

test('lets PUBACKs overtake the oldest open delivery only if that delivery is older than the bound', () => {
  vi.useFakeTimers()
  const { sent, order, receive } = arrange(HOLD_MS)
  const slow = receive(1)
  receive(2).settle()
  receive(3).settle()
  vi.advanceTimersByTime(HOLD_MS - 1)
  expect(sent).toEqual([])
  // Nothing else happens: the timer alone sends the PUBACKs.
  vi.advanceTimersByTime(2)
  expect(sent).toEqual([2, 3])
  expect(order.pending).toBe(1)
  slow.settle()
  expect(sent).toEqual([2, 3, 1])
  expect(order.pending).toBe(0)
})

test('keeps the order of all deliveries that follow an overdue delivery', () => {
  vi.useFakeTimers()
  const { sent, receive } = arrange(HOLD_MS)
  receive(1)
  receive(2).settle()
  vi.advanceTimersByTime(HOLD_MS + 1)
  const young = receive(3)
  receive(4).settle()
  vi.advanceTimersByTime(HOLD_MS / 2)
  expect(sent).toEqual([2])
  young.settle()
  expect(sent).toEqual([2, 3, 4])
})

test('runs a timer only while another delivery holds back a settled one, and never runs two timers', () => {
  vi.useFakeTimers()
  const { order, receive, receiveMany } = arrange(HOLD_MS)
  const first = receive(1)
  receive(2)
  expect(vi.getTimerCount()).toBe(0)
  first.settle()
  expect(vi.getTimerCount()).toBe(0)
  for (const delivery of receiveMany(3, 50)) delivery.settle()
  expect(vi.getTimerCount()).toBe(1)
  vi.advanceTimersByTime(HOLD_MS + 1)
  expect(order.pending).toBe(1)
  expect(vi.getTimerCount()).toBe(0)
})

test('acknowledges each delivery once, and overtakes only deliveries that are older than the bound', () => {
  const step = fc.record({ waitMs: fc.integer({ min: 0, max: 900 }), settle: fc.nat(20) })
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 80 }), (steps) => {
      vi.useFakeTimers()
      const { sent, order, receive } = arrange(HOLD_MS)
      const open: ReceivedDelivery[] = []
      const all: ReceivedDelivery[] = []
      let seen = 0
      const check = (): void => {
        for (const packetId of sent.slice(seen)) {
          seen += 1
          const overtaken = all.slice(0, packetId - 1).filter((older) => !sent.includes(older.packetId))
          for (const { receivedAtMs } of overtaken)
            expect(performance.now() - receivedAtMs).toBeGreaterThanOrEqual(HOLD_MS)
        }
      }
      for (const { waitMs, settle } of steps) {
        vi.advanceTimersByTime(waitMs)
        check()
        const delivery = receive(all.length + 1)
        all.push(delivery)
        open.push(delivery)
        if (settle < open.length) open.splice(settle, 1)[0]!.settle()
        check()
      }
      vi.advanceTimersByTime(2 * HOLD_MS)
      // Settled deliveries have been acknowledged: only open ones are pending.
      expect(order.pending).toBe(open.length)
      for (const delivery of open) delivery.settle()
      expect(sent.toSorted((one, other) => one - other)).toEqual(all.map(({ packetId }) => packetId))
      expect(order.pending).toBe(0)
    }),
  )
})

test('counts the deliveries that a broker regards as open if it ignores overtaking PUBACKs', () => {
  const { order, overtakes, receive, receiveMany } = arrange(AS_SETTLED)
  for (const delivery of receiveMany(1, 3)) delivery.settle()
  expect([overtakes(), order.openIfIgnored]).toEqual([0, 0])
  const held = receive(4)
  for (const delivery of receiveMany(5, 9)) delivery.settle()
  expect([overtakes(), order.openIfIgnored, order.pending]).toEqual([1, 10, 1])
  held.settle()
  expect([order.openIfIgnored, order.pending]).toEqual([9, 0])
  receive(14).settle()
  expect([overtakes(), order.openIfIgnored]).toEqual([1, 10])
})

test('lets later PUBACKs overtake after the connection changes from strict to bounded order', () => {
  vi.useFakeTimers()
  const { sent, order, receive } = arrange(STRICT)
  receive(1)
  receive(2).settle()
  vi.advanceTimersByTime(10 * HOLD_MS)
  expect(sent).toEqual([])
  order.hold(HOLD_MS)
  vi.advanceTimersByTime(20)
  expect(sent).toEqual([2])
})

test('ignores a resent message until its PUBACK is sent, even after it is settled', () => {
  const { order, receive } = arrange(STRICT)
  const first = receive(1)
  const second = receive(2)
  second.settle()
  const held = (): boolean[] => [first, second].map((delivery) => order.holds(delivery))
  expect(held()).toEqual([true, true])
  first.settle()
  expect(held()).toEqual([false, false])
})

test('treats a redelivery as new if it differs from the open message in its topic, body or Correlation Data', () => {
  const { order, receive } = arrange(STRICT)
  const held = receive(1)
  const others = [
    { topic: 'infer/request/other' },
    { payload: Buffer.from('other') },
    { properties: { correlationData: Buffer.from('other') } },
  ]
  const { topic, payload, payloadBytes, propertyBytes, isWhole, qos, retain, packetId, properties } = held
  const same = { topic, payload, payloadBytes, propertyBytes, isWhole, qos, retain, packetId, properties }
  const holds = (other: object): boolean => order.holds({ ...same, dup: true, ...other })
  expect(others.map(holds)).toEqual([false, false, false])
  expect(holds({})).toBe(true)
})

import fc from 'fast-check'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { AckOrder, type Keeper } from './ack-order.ts'
import { ReceivedDelivery } from './delivery.ts'
import { IDENTIFIERS, type Identifiers } from './packet-identifiers.ts'

afterEach(() => {
  vi.useRealTimers()
})

const STRICT = Number.POSITIVE_INFINITY
const AS_SETTLED = 0
const HOLD_MS = 2_000
const FEW: Identifiers = { count: 20, distanceMax: 10 }

interface Given {
  readonly identifiers?: Identifiers
  readonly keeper?: Keeper
}

function arrange(holdMaxMs: number, given: Given = {}) {
  const sent: number[] = []
  const heldBack: number[] = []
  let overtaken = 0
  const order = new AckOrder({
    epoch: 1,
    holdMaxMs,
    ...given,
    acknowledge: (packetId) => void sent.push(packetId),
    heldBack: ({ packetId }) => void heldBack.push(packetId),
    overtook: () => void (overtaken += 1),
  })
  const receive = (packetId: number, qos: 0 | 1 = 1, dup = false): ReceivedDelivery => {
    const publish = {
      topic: 't',
      payload: Buffer.alloc(0),
      payloadBytes: 0,
      propertyBytes: 0,
      isWhole: true,
      retain: false,
      dup,
      properties: {},
    }
    const delivery = new ReceivedDelivery({ ...publish, qos, packetId }, performance.now(), order)
    if (qos === 1) order.received(delivery)
    return delivery
  }
  const receiveMany = (from: number, count: number): ReceivedDelivery[] =>
    Array.from({ length: count }, (_, index) => receive(from + index))
  return { sent, heldBack, overtakes: () => overtaken, order, receive, receiveMany }
}

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

test('hands a delivery over to the keeper before its identifier is reused, and the keeper settles it once', () => {
  let settled = 0
  const keeper = vi.fn<Keeper>(() => () => void (settled += 1))
  const { sent, order, receive, receiveMany } = arrange(AS_SETTLED, { identifiers: FEW, keeper })
  const held = receive(1)
  for (const delivery of receiveMany(2, 9)) delivery.settle()
  expect(keeper).not.toHaveBeenCalled()
  receive(11)
  expect(keeper.mock.calls).toEqual([[held]])
  expect(sent.at(-1)).toBe(1)
  expect(held.isHandedOver).toBe(true)
  expect(order.pending).toBe(1)
  // The keeper is called even after the connection has ended.
  order.end()
  held.settle()
  held.settle()
  expect(settled).toBe(1)
  expect(sent).toHaveLength(10)
})

test("without a keeper, holds back all PUBACKs before a delivery's identifier is reused", () => {
  const { distanceMax } = IDENTIFIERS
  const RECEIVE_MAXIMUM = 65_535 - distanceMax
  const { sent, heldBack, order, receive } = arrange(AS_SETTLED)
  const held = receive(1)
  let distance = 0
  // The broker assigns identifiers by counting, and obeys Receive Maximum.
  while (order.pending < RECEIVE_MAXIMUM) receive(1 + (++distance % 65_535)).settle()
  expect(heldBack).toEqual([1])
  expect(distance).toBeGreaterThan(distanceMax)
  expect(distance).toBeLessThan(65_535)
  expect(sent).toHaveLength(distanceMax - 1)
  held.settle()
  expect(sent[distanceMax - 1]).toBe(1)
  expect(order.pending).toBe(0)
  expect(sent.slice(distanceMax).every((packetId, index) => packetId === distanceMax + 1 + index)).toBe(true)
})

test('continues to hold back PUBACKs if the second-oldest delivery cannot give up its identifier either', () => {
  const { sent, heldBack, receive, receiveMany } = arrange(AS_SETTLED, { identifiers: FEW })
  const [first, second] = receiveMany(1, 2)
  for (let packetId = 3; packetId <= 11; packetId++) receive(packetId).settle()
  expect(sent).toEqual([3, 4, 5, 6, 7, 8, 9, 10])
  expect(heldBack).toEqual([1])
  receive(12).settle()
  first!.settle()
  // Any PUBACK would let the broker assign more identifiers.
  expect(sent.slice(8)).toEqual([])
  expect(heldBack).toEqual([1, 2])
  second!.settle()
  expect(sent.slice(8)).toEqual([1, 2, 11, 12])
})

describe('after redelivery on a new connection', () => {
  test('the identifiers used by the previous connection count towards the limit at which a delivery is handed over', () => {
    const keeper = vi.fn<Keeper>(() => () => {})
    const { sent, receive } = arrange(AS_SETTLED, { identifiers: FEW, keeper })
    const held = receive(3, 1, true)
    receive(4, 1, true).settle()
    // Ten later identifiers are allowed; the previous connection used seven of them.
    receive(10).settle()
    receive(11).settle()
    expect(keeper).not.toHaveBeenCalled()
    receive(12).settle()
    receive(13).settle()
    expect(keeper.mock.calls).toEqual([[held]])
    expect(sent).toEqual([4, 10, 11, 12, 3, 13])
  })

  test('a delivery is handed over at once if the broker will soon reuse its identifier', () => {
    const keeper = vi.fn<Keeper>(() => () => {})
    const { sent, order, receive } = arrange(HOLD_MS, { identifiers: FEW, keeper })
    const settled = receive(4, 1, true)
    const held = receive(5, 1, true)
    const far = receive(19, 1, true)
    settled.settle()
    receive(1)
    expect(keeper.mock.calls).toEqual([[held]])
    expect(sent).toEqual([4, 5])
    far.settle()
    expect(sent).toEqual([4, 5, 19])
    order.end()
  })

  test('deliveries keep their order if no identifier is about to be reused', () => {
    const { sent, order, receive } = arrange(HOLD_MS, { identifiers: FEW })
    const first = receive(3, 1, true)
    receive(4, 1, true).settle()
    receive(5).settle()
    expect(sent).toEqual([])
    first.settle()
    expect(sent).toEqual([3, 4, 5])
    order.end()
  })
})

test('in strict order, hands over no delivery, because the broker stops sending at Receive Maximum', () => {
  const keeper = vi.fn<Keeper>(() => undefined)
  const { receive, receiveMany } = arrange(STRICT, { identifiers: FEW, keeper })
  receive(1)
  for (const delivery of receiveMany(2, 100)) delivery.settle()
  expect(keeper).not.toHaveBeenCalled()
})

test.each([
  ['the old message is settled first', 0],
  ['the new message is settled first', 1],
])(
  'acknowledges neither of two messages with the same identifier until both are settled: %s',
  (_what, firstSettled) => {
    const { sent, order, receive } = arrange(AS_SETTLED)
    const pair = [receive(5)]
    receive(6).settle()
    pair.push(receive(5))
    receive(7).settle()
    expect(sent).toEqual([6, 7])
    pair[firstSettled]!.settle()
    expect(sent).toEqual([6, 7])
    pair[1 - firstSettled]!.settle()
    expect(sent).toEqual([6, 7, 5, 5])
    expect(order.pending).toBe(0)
  },
)

test('holds back later PUBACKs only up to the bound if a settled message has the same identifier as an open one', () => {
  vi.useFakeTimers()
  const { sent, receive } = arrange(HOLD_MS)
  const old = receive(5)
  receive(6).settle()
  vi.advanceTimersByTime(HOLD_MS + 1)
  receive(5).settle()
  receive(7).settle()
  expect(sent).toEqual([6])
  vi.advanceTimersByTime(HOLD_MS + 1)
  expect(sent).toEqual([6, 7])
  old.settle()
  expect(sent).toEqual([6, 7, 5, 5])
})

test('keeps strict order even if two messages have the same identifier', () => {
  const { sent, receive } = arrange(STRICT)
  const old = receive(5)
  const between = receive(6)
  const twin = receive(5)
  between.settle()
  old.settle()
  expect(sent).toEqual([])
  twin.settle()
  expect(sent).toEqual([5, 6, 5])
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

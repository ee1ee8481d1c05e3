// Tests what the order of PUBACKs does before the broker reuses a Packet Identifier, and if two messages have the same
// identifier.
import { afterEach, describe, expect, test, vi } from 'vitest'
import type { Keeper } from './ack-order.ts'
import { IDENTIFIERS, type Identifiers } from './packet-identifiers.ts'
import { arrange, AS_SETTLED, HOLD_MS, STRICT } from './testing/ack-arrangement.ts'

const FEW: Identifiers = { count: 20, distanceMax: 10 }

afterEach(() => void vi.useRealTimers())

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

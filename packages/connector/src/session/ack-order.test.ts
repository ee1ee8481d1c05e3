import fc from 'fast-check'
import { expect, test } from 'vitest'
import { AckOrder, type AckOrderKind } from './ack-order.ts'
import { Delivery } from './delivery.ts'

function arrange(kind: AckOrderKind, epoch = 1) {
  const sent: number[] = []
  const order = new AckOrder(epoch, kind, (packetId) => sent.push(packetId))
  const receive = (packetId: number, qos: 0 | 1 = 1): Delivery => {
    const publish = {
      topic: 't',
      payload: Buffer.alloc(0),
      payloadBytes: 0,
      propertyBytes: 0,
      isWhole: true,
      retain: false,
      dup: false,
      properties: {},
    }
    const delivery = new Delivery({ ...publish, qos, packetId }, 0, order)
    if (qos === 1) order.received(delivery)
    return delivery
  }
  return { sent, order, receive }
}

test('PUBACKs leave in the order in which the PUBLISHes came, whatever the order of settling', () => {
  fc.assert(
    fc.property(
      fc
        .integer({ min: 1, max: 200 })
        .chain((count) => fc.shuffledSubarray([...Array(count).keys()], { minLength: count })),
      (settleOrder) => {
        const { sent, order, receive } = arrange('strict')
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
      },
    ),
  )
})

test('a long stream of acknowledgements leaves nothing behind', () => {
  const { sent, order, receive } = arrange('strict')
  const first = receive(1)
  const rest = Array.from({ length: 5000 }, (_, index) => receive(index + 2))
  for (const delivery of rest) delivery.settle()
  expect(sent).toEqual([])
  first.settle()
  expect(sent).toHaveLength(5001)
  expect(order.pending).toBe(0)
})

test('settling twice acknowledges once', () => {
  const { sent, receive } = arrange('strict')
  const delivery = receive(7)
  delivery.settle()
  delivery.settle()
  expect(sent).toEqual([7])
})

test('nothing is acknowledged after the connection ended, because identifiers start again', () => {
  const { sent, order, receive } = arrange('strict')
  const first = receive(1)
  const second = receive(2)
  second.settle()
  order.end()
  first.settle()
  expect(sent).toEqual([])
})

test('as-settled acknowledges at once and counts what is left', () => {
  const { sent, order, receive } = arrange('as-settled')
  receive(1)
  receive(2).settle()
  expect(sent).toEqual([2])
  expect(order.pending).toBe(1)
})

test('a QoS 0 delivery takes no part', () => {
  const { sent, order, receive } = arrange('strict')
  receive(0, 0).settle()
  expect(sent).toEqual([])
  expect(order.pending).toBe(0)
})

// Sets up the order of acknowledgements of one connection, and receives deliveries on it.
import { AckOrder, type Keeper } from '../ack-order.ts'
import { ReceivedDelivery } from '../delivery.ts'
import type { Identifiers } from '../packet-identifiers.ts'

/** `holdMaxMs` of the ack order "strict". */
export const STRICT = Number.POSITIVE_INFINITY
/** `holdMaxMs` of the ack order "as-settled". */
export const AS_SETTLED = 0
/** A `holdMaxMs` of the ack order "bounded". */
export const HOLD_MS = 2_000

interface Given {
  readonly identifiers?: Identifiers
  readonly keeper?: Keeper
}

/** Creates an order that records the sent PUBACKs and the deliveries that it held back, by Packet Identifier. */
export function arrange(holdMaxMs: number, given: Given = {}) {
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

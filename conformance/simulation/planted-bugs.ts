// Connectors with a bug on purpose: a simulation that does not detect them proves nothing with its silence.
import { userProperty } from '@inferwire/protocol'
import { Duplicates, type DuplicateLimits } from '../../packages/connector/src/duplicates/index.ts'
import type { ByteStream } from '../../packages/connector/src/internal.ts'
import type {
  OutgoingMessage,
  ReceivedDelivery as Delivery,
} from '../../packages/connector/src/session/index.ts'
import type { PublishResult } from '../../packages/connector/src/step.ts'
import { toPartMark, type PartMark } from '../checkers/part-order.ts'

type Publish = (message: OutgoingMessage) => Promise<PublishResult>

const ACKNOWLEDGED = Promise.resolve<PublishResult>({ kind: 'acknowledged', reasonCode: 0 })

/** Where a bug gets in between session and pipeline. One object lives as long as one run. */
export interface PlantedBug {
  readonly ackOrder?: 'as-settled'
  /** What the connector takes for the broker's number of Packet Identifiers. */
  readonly identifiers?: { readonly count: number; readonly distanceMax: number }
  /** In place of the folder of safekeeping. */
  keeper?(delivery: Delivery): (() => void) | undefined
  delivered?(delivery: Delivery): Delivery | undefined
  publish?(message: OutgoingMessage, publish: Publish): Promise<PublishResult>
  dialled?(bytes: ByteStream): ByteStream
  duplicates?(limits: DuplicateLimits): Duplicates
}

/** By name: the bug, the rule of the verdict that must find it, and on which runs it can show. */
export const PLANTED_BUGS: Readonly<Record<string, { readonly rule: string; make(): PlantedBug }>> = {
  'acknowledges on receipt': {
    rule: 'D1',
    make: () => ({
      delivered(delivery) {
        delivery.settle()
        return delivery
      },
    }),
  },
  'does not wait for the acknowledgement of the reply': {
    rule: 'D1',
    make: () => ({
      publish(message, publish) {
        void publish(message)
        return ACKNOWLEDGED
      },
    }),
  },
  'acknowledges out of order': { rule: 'D3', make: () => ({ ackOrder: 'as-settled' }) },
  'gives up the order until a Packet Identifier comes round': {
    rule: 'ack-wrap',
    make: acknowledgesTheOlder,
  },
  'acknowledges a delivery of an earlier connection': { rule: 'D3', make: staleAcknowledgement },
  'swaps Correlation Data': { rule: 'D4', make: swappedCorrelation },
  'answers on another topic': {
    rule: 'D4',
    make: () => ({
      publish: (message, publish) =>
        publish(isReply(message) ? { ...message, topic: `${message.topic}x` } : message),
    }),
  },
  'publishes outside of the reply subtree': {
    rule: 'subtree',
    make: () => ({
      publish: (message, publish) =>
        publish(isReply(message) ? { ...message, topic: `request${message.topic}` } : message),
    }),
  },
  'does not see the expiry': {
    rule: 'D6',
    make: () => ({
      delivered(delivery) {
        const { messageExpiryInterval: _, ...properties } = delivery.properties
        delivery.properties = properties
        return delivery
      },
    }),
  },
  'does not remember what it executed': {
    rule: 'D5',
    make: () => ({ duplicates: (limits) => new Forgetful(limits) }),
  },
  'settles after the first part': { rule: 'D1', make: settlesAfterFirstPart },
  'publishes a part after the final message': { rule: 'part-after-final', make: partAfterFinal },
  'loses a part': {
    rule: 'part-order',
    make: () => ({
      publish: (message, publish) =>
        partOf(message)?.seq === 1 && !partOf(message)!.isFinal ? ACKNOWLEDGED : publish(message),
    }),
  },
  'begins an answer in parts again for a redelivery': {
    rule: 'stream-restart',
    make: () => ({ delivered: (delivery) => Object.defineProperty(delivery, 'dup', { value: false }) }),
  },
  'acknowledges a request that it did not put in safekeeping': {
    rule: 'D1',
    make: () => ({ keeper: () => () => {} }),
  },
  'loses a delivery': {
    rule: 'rest',
    make: () => {
      let count = 0
      return { delivered: (delivery) => (++count % 3 === 0 ? undefined : delivery) }
    },
  },
  'cleans the session at every start': { rule: 'D2', make: () => ({ dialled: cleanStart }) },
}

class Forgetful extends Duplicates {
  override find(): undefined {
    return undefined
  }
}

function isReply({ topic }: OutgoingMessage): boolean {
  return topic.startsWith('infer/reply/')
}

function partOf({ properties }: OutgoingMessage): PartMark | undefined {
  const valueOf = (name: string): string | undefined => userProperty(properties.userProperties, name)
  return toPartMark(valueOf('seq'), valueOf('final'), valueOf('status'))
}

function keyOf(topic: string, correlationData: Uint8Array | undefined): string {
  return correlationData?.toString() ?? topic.split('/').at(-1)!
}

function settlesAfterFirstPart(): PlantedBug {
  const deliveries = new Map<string, Delivery>()
  return {
    delivered(delivery) {
      deliveries.set(keyOf(delivery.topic, delivery.properties.correlationData), delivery)
      return delivery
    },
    async publish(message, publish) {
      const result = await publish(message)
      const isFirst = partOf(message)?.seq === 0
      if (isFirst) deliveries.get(keyOf(message.topic, message.properties.correlationData))?.settle()
      return result
    },
  }
}

function partAfterFinal(): PlantedBug {
  return {
    async publish(message, publish) {
      const result = await publish(message)
      const part = partOf(message)
      if (part?.isFinal === true) {
        const userProperties = ['seq', String(part.seq + 1)]
        await publish({ ...message, properties: { ...message.properties, userProperties } })
      }
      return result
    },
  }
}

function swappedCorrelation(): PlantedBug {
  let last: Uint8Array | undefined
  return {
    publish(message, publish) {
      const own = message.properties.correlationData
      if (!isReply(message) || own === undefined) return publish(message)
      const correlationData = last ?? own
      last = own
      return publish({ ...message, properties: { ...message.properties, correlationData } })
    },
  }
}

function staleAcknowledgement(): PlantedBug {
  let current: ByteStream | undefined
  let epoch = 0
  return {
    dialled: (bytes) => (current = bytes),
    delivered(delivery) {
      epoch = delivery.epoch
      const settle = delivery.settle.bind(delivery)
      delivery.settle = () => {
        if (delivery.epoch === epoch || delivery.qos === 0) return settle()
        const { packetId } = delivery
        current!.stream.write(Buffer.from([0x40, 2, packetId >> 8, packetId & 0xff]))
      }
      return delivery
    },
  }
}

// Among so many identifiers as the broker has not, and without a look at whether another delivery has the same one.
function acknowledgesTheOlder(): PlantedBug {
  let current: ByteStream | undefined
  // Of this connection, by Packet Identifier.
  let unsettled = new Map<number, number>()
  return {
    identifiers: { count: 65_535, distanceMax: 32_768 },
    dialled(bytes) {
      unsettled = new Map()
      return (current = bytes)
    },
    delivered(delivery) {
      if (delivery.qos === 0) return delivery
      const { packetId } = delivery
      const own = unsettled
      const settle = delivery.settle.bind(delivery)
      own.set(packetId, (own.get(packetId) ?? 0) + 1)
      delivery.settle = () => {
        const others = own.get(packetId)! - 1
        own.set(packetId, others)
        settle()
        if (others === 0 || own !== unsettled) return
        current!.stream.write(Buffer.from([0x40, 2, packetId >> 8, packetId & 0xff]))
      }
      return delivery
    },
  }
}

// CONNECT is the first that is written: its flags are the tenth byte.
function cleanStart(bytes: ByteStream): ByteStream {
  const { stream } = bytes
  const write = stream.write.bind(stream) as (chunk: Buffer) => boolean
  let isFirst = true
  stream.write = ((chunk: Buffer) => {
    if (isFirst) {
      isFirst = false
      const flags = chunk.indexOf('MQTT') + 5
      chunk[flags]! |= 2
    }
    return write(chunk)
  }) as typeof stream.write
  return bytes
}

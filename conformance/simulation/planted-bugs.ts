// Implements the bugs of ../rig/planted-bugs.ts that the simulation can plant. Each bug is a set of hooks between
// session and pipeline.
import { userProperty, type BatchRules } from '@inferwire/protocol'
import { Duplicates, type DuplicateLimits } from '../../packages/connector/src/duplicates/index.ts'
import type { ByteStream } from '../../packages/connector/src/internal.ts'
import type {
  OutgoingMessage,
  ReceivedDelivery as Delivery,
} from '../../packages/connector/src/session/index.ts'
import type { PublishResult } from '../../packages/connector/src/step.ts'
import { toPartMark, type PartMark } from '../checkers/part-order.ts'
import type { SimulatedBug } from '../rig/planted-bugs.ts'

type Publish = (message: OutgoingMessage) => Promise<PublishResult>

const ACKNOWLEDGED = Promise.resolve<PublishResult>({ kind: 'acknowledged', reasonCode: 0 })

/** The places where a bug can be planted. Each run has its own object. */
export interface BugHooks {
  readonly ackOrder?: 'as-settled'
  /** The number of Packet Identifiers that the connector assumes to exist. */
  readonly identifiers?: { readonly count: number; readonly distanceMax: number }
  /** Replaces the safekeeping folder. */
  keeper?(delivery: Delivery): (() => void) | undefined
  delivered?(delivery: Delivery): Delivery | undefined
  publish?(message: OutgoingMessage, publish: Publish): Promise<PublishResult>
  dialled?(bytes: ByteStream): ByteStream
  /** Number of shared calls that may run at a time. */
  readonly sharedCalls?: number
  batchRules?(rules: BatchRules): BatchRules
  duplicates?(limits: DuplicateLimits): Duplicates
}

/** For each bug, a function that creates its hooks for one run. */
export const BUG_HOOKS: Readonly<Record<SimulatedBug, () => BugHooks>> = {
  'ack-on-receipt': () => ({
    delivered(delivery) {
      delivery.settle()
      return delivery
    },
  }),
  'ack-before-reply-puback': () => ({
    publish(message, publish) {
      void publish(message)
      return ACKNOWLEDGED
    },
  }),
  'ack-out-of-order': () => ({ ackOrder: 'as-settled' }),
  'ack-of-older-identifier': acknowledgesTheOlder,
  'ack-of-old-epoch': staleAcknowledgement,
  'swapped-correlation': swappedCorrelation,
  'wrong-reply-topic': () => ({
    publish: (message, publish) =>
      publish(isReply(message) ? { ...message, topic: `${message.topic}x` } : message),
  }),
  'outside-reply-subtree': () => ({
    publish: (message, publish) =>
      publish(isReply(message) ? { ...message, topic: `request${message.topic}` } : message),
  }),
  'ignored-expiry': () => ({
    delivered(delivery) {
      const { messageExpiryInterval: _, ...properties } = delivery.properties
      delivery.properties = properties
      return delivery
    },
  }),
  'forgotten-duplicates': () => ({ duplicates: (limits) => new Forgetful(limits) }),
  'settle-after-first-part': settlesAfterFirstPart,
  'part-after-final': partAfterFinal,
  'lost-part': () => ({
    publish: (message, publish) =>
      partOf(message)?.seq === 1 && !partOf(message)!.isFinal ? ACKNOWLEDGED : publish(message),
  }),
  'skipped-part': skippedPart,
  'crossed-part': crossedPart,
  'stream-without-final': () => ({
    publish: (message, publish) => (partOf(message)?.isFinal === true ? ACKNOWLEDGED : publish(message)),
  }),
  'swapped-members': () => ({
    batchRules: (rules) => ({
      ...rules,
      split(members, answer) {
        const parts = rules.split(members, answer)
        return parts === undefined ? undefined : [...parts.slice(1), parts[0]!]
      },
    }),
  }),
  'too-many-shared-calls': () => ({ sharedCalls: 1_000 }),
  'restarted-stream': () => ({
    delivered: (delivery) => Object.defineProperty(delivery, 'dup', { value: false }),
  }),
  'ack-without-safekeeping': () => ({ keeper: () => () => {} }),
  'lost-delivery': () => {
    let count = 0
    return { delivered: (delivery) => (++count % 3 === 0 ? undefined : delivery) }
  },
  'clean-start': () => ({ dialled: cleanStart }),
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

function settlesAfterFirstPart(): BugHooks {
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

function partAfterFinal(): BugHooks {
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

// Withholds the second part of each answer, and gives its number to the next part or to the final message.
function skippedPart(): BugHooks {
  const lacking = new Set<string>()
  return {
    publish(message, publish) {
      const part = partOf(message)
      const key = keyOf(message.topic, message.properties.correlationData)
      if (part === undefined) return publish(message)
      if (part.seq === 0) lacking.delete(key)
      if (part.seq === 1 && !part.isFinal) {
        lacking.add(key)
        return ACKNOWLEDGED
      }
      if (!lacking.has(key)) return publish(message)
      const userProperties = (message.properties.userProperties ?? []).map((text, index, all) =>
        all[index - 1] === 'seq' && index % 2 === 1 ? String(part.seq - 1) : text,
      )
      return publish({ ...message, properties: { ...message.properties, userProperties } })
    },
  }
}

function crossedPart(): BugHooks {
  let last: OutgoingMessage | undefined
  return {
    publish(message, publish) {
      if (partOf(message)?.isFinal !== false) return publish(message)
      const { payload } = last ?? message
      last = message
      return publish({ ...message, payload })
    },
  }
}

function swappedCorrelation(): BugHooks {
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

function staleAcknowledgement(): BugHooks {
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

// Assumes more identifiers than the broker has, and does not check whether another delivery has the same identifier.
function acknowledgesTheOlder(): BugHooks {
  let current: ByteStream | undefined
  // Number of unsettled deliveries on this connection, by Packet Identifier.
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

// Sets the Clean Start flag in CONNECT, which is the first packet on a connection. The Connect Flags are the
// second byte after the protocol name.
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

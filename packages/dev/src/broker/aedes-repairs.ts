// Mends what aedes 2.0.0-beta.1 gets wrong and a connector or a developer would trip over. The repairs are
// tested in embedded.test.ts and embedded-sessions.test.ts; the version is pinned, because they reach into what aedes
// keeps private.
import { Readable } from 'node:stream'
import type { Aedes, AedesPublishPacket, Client } from 'aedes'
import { generate } from 'mqtt-packet'

// What waits for one session that is away, or does not acknowledge. aedes looks through its queue from the front for
// every message, so ten times as many would take a hundred times as long.
const QUEUED_MESSAGES_MAX = 10_000
const QUEUED_BYTES_MAX = 256 * 1024 * 1024
const NO_MATCHING_SUBSCRIBERS = 0x10

interface StoredPacket {
  cmd: string
  topic: string
  payload?: Buffer
  messageId?: number
  dup: boolean
}

// Of aedes-persistence (in memory) and mqemitter, what is used here.
interface Persistence {
  storeRetained(packet: object): PromiseLike<void>
  subscriptionsByTopic(topic: string): Promise<{ clientId: string }[]>
  outgoingEnqueueCombi(subscriptions: { clientId: string }[], packet: StoredPacket): Promise<void>
  outgoingUpdate(client: { id: string }, packet: StoredPacket): Promise<void>
  outgoingClearMessageId(client: { id: string }, packet: StoredPacket): Promise<StoredPacket | undefined>
  outgoingStream(client: { id: string }): Readable
  incomingDelPacket(client: { id: string }, packet: StoredPacket): Promise<void>
}
interface AedesInside {
  clients: Record<string, Client>
  persistence: Persistence
  mq: { _matcher: { match(topic: string): readonly unknown[] } }
}

/** A PUBLISH as `authorizePublish` gets it. */
export interface IncomingPublish {
  cmd?: string
  topic: string
  qos: number
  retain: boolean
  dup: boolean
  messageId?: number
  /** aedes' own mark: it was answered already and goes nowhere. */
  _notAuthorized?: boolean
}

/** Call it once, before the first client. `log` gets a line when messages for a session are dropped. */
export function repairAedes(aedes: Aedes, log?: (line: string) => void): void {
  const inside = aedes as unknown as AedesInside
  inside.clients = withoutPrototype()
  const { persistence } = inside
  deliverRetainedInOrder(persistence)
  forgiveUnknownPackets(persistence)
  markRedeliveries(persistence)
  boundQueues(persistence, log)
}

/** Call it for every client that `handle` returns. */
export function repairClient(client: Client): void {
  ;(client as unknown as { subscriptions: object }).subscriptions = withoutPrototype()
}

/** Every client that is connected now. */
export function connectedClients(aedes: Aedes): Client[] {
  return Object.values((aedes as unknown as AedesInside).clients)
}

/**
 * Whether somebody subscribes to the topic, connected or away; retained messages count as heard. Takes equally long
 * for every message of a segment, so that PUBACKs keep the order of the messages.
 */
export async function isHeard(aedes: Aedes, { topic, retain }: IncomingPublish): Promise<boolean> {
  const { mq, persistence } = aedes as unknown as AedesInside
  const isStored = (await persistence.subscriptionsByTopic(topic)).length > 0
  return isStored || retain || mq._matcher.match(topic).length > 0
}

/** MQTT 5 §3.4.2.1: PUBACK 0x10 for a message that nobody gets, where aedes says 0x00; it goes nowhere then. */
export function answerUnheard(client: Client, packet: IncomingPublish): void {
  packet._notAuthorized = true
  client.conn.write(
    generate(
      { cmd: 'puback', messageId: packet.messageId ?? 0, reasonCode: NO_MATCHING_SUBSCRIBERS },
      { protocolVersion: 5 },
    ),
  )
}

/**
 * MQTT 5 [MQTT-3.1.2-25]: what is larger than the client's Maximum Packet Size is discarded; aedes sends it. The
 * return value is for `authorizeForward`.
 */
export function discardOversized(client: Client, packet: AedesPublishPacket): AedesPublishPacket | null {
  if (client.maximumPacketSize === undefined) return packet
  const size = generate({ ...packet, messageId: packet.messageId ?? 1 }, { protocolVersion: 5 }).length
  return size > client.maximumPacketSize ? null : packet
}

// aedes looks client ids and topic filters up in plain objects. A client that is called `constructor`, or subscribes
// to it, makes it find Object's own member and throw in the process.
function withoutPrototype<Value>(): Record<string, Value> {
  return Object.create(null) as Record<string, Value>
}

// aedes drops a message that comes after one with a higher number as a duplicate. A retained one loses a turn while it
// is stored, so a message right behind it in the same segment overtook it, and it was lost. In memory there is
// nothing to wait for.
function deliverRetainedInOrder(persistence: Persistence): void {
  const storeRetained = persistence.storeRetained.bind(persistence)
  persistence.storeRetained = (packet) => {
    void storeRetained(packet)
    // oxlint-disable-next-line unicorn/no-thenable -- one that calls back at once is the point
    return { then: (stored: () => unknown) => stored() } as unknown as PromiseLike<void>
  }
}

// A message that arrives while its subscriber unsubscribes, and a PUBREC for an unknown Packet Identifier: aedes closes
// the connection. Without a stored packet there is only nothing to send again.
function forgiveUnknownPackets(persistence: Persistence): void {
  const outgoingUpdate = persistence.outgoingUpdate.bind(persistence)
  persistence.outgoingUpdate = (client, packet) => outgoingUpdate(client, packet).catch(() => undefined)
  // Two PUBRELs in one segment: the second finds nothing to delete, and aedes leaves the rejection to the process.
  const incomingDelPacket = persistence.incomingDelPacket.bind(persistence)
  persistence.incomingDelPacket = (client, packet) => incomingDelPacket(client, packet).catch(() => undefined)
}

// MQTT 5 [MQTT-3.3.1-1]: DUP is 1 when it is sent again. What has a Packet Identifier was sent before.
function markRedeliveries(persistence: Persistence): void {
  const outgoingStream = persistence.outgoingStream.bind(persistence)
  persistence.outgoingStream = (client) =>
    Readable.from(
      outgoingStream(client).map((packet: StoredPacket) =>
        packet.cmd === 'publish' && packet.messageId !== undefined
          ? Object.assign(Object.create(null), packet, { dup: true })
          : packet,
      ),
    )
}

// aedes keeps without limit what a session does not fetch.
function boundQueues(persistence: Persistence, log?: (line: string) => void): void {
  const queues = new Map<string, { messages: number; bytes: number; isFull: boolean }>()
  const enqueue = persistence.outgoingEnqueueCombi.bind(persistence)
  persistence.outgoingEnqueueCombi = (subscriptions, packet) => {
    const bytes = packet.payload?.length ?? 0
    const takers = subscriptions.filter(({ clientId }) => {
      const queue = queues.get(clientId) ?? { messages: 0, bytes: 0, isFull: false }
      const isFull = queue.messages >= QUEUED_MESSAGES_MAX || queue.bytes + bytes > QUEUED_BYTES_MAX
      if (isFull && !queue.isFull) {
        log?.(
          `MQTT: the queue of client ${JSON.stringify(clientId)} is full (${queue.messages} messages, ${queue.bytes} bytes): further messages for it are dropped`,
        )
      }
      queues.set(clientId, {
        messages: queue.messages + (isFull ? 0 : 1),
        bytes: queue.bytes + (isFull ? 0 : bytes),
        isFull,
      })
      return !isFull
    })
    return enqueue(takers, packet)
  }
  const clear = persistence.outgoingClearMessageId.bind(persistence)
  persistence.outgoingClearMessageId = async (client, packet) => {
    const cleared = await clear(client, packet)
    const queue = queues.get(client.id)
    if (cleared === undefined || queue === undefined) return cleared
    queue.messages -= 1
    // A QoS 2 message gave its payload up unseen, at PUBREC: an empty queue sets the count right.
    queue.bytes -= cleared.payload?.length ?? 0
    queue.isFull = false
    if (queue.messages <= 0) queues.delete(client.id)
    return cleared
  }
}

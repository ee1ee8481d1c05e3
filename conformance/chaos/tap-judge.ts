// What one connection between connector and broker must look like: requirements D1, D3 and the limits, packet by packet.
import mqttPacket, { type IConnackPacket, type IConnectPacket, type Packet } from 'mqtt-packet'
import type { Witness } from './proxy.ts'
import { PacketScanner, viewPublish, type PublishView } from './wire.ts'

/** What the connector may do. */
export interface TapRules {
  /** Topics below these prefixes are requests: acknowledged only when answered. */
  readonly requestRoots: readonly string[]
  /** The connector publishes below these prefixes, and nowhere else. */
  readonly replyRoots: readonly string[]
  /** Beside the replies: status, model cards, a dead-letter topic. A trailing `/` stands for the subtree. */
  readonly ownTopics: readonly string[]
  /** Told when a reply's acknowledgement by the broker reaches the connector; milliseconds since the epoch. */
  readonly onReplyTaken?: (topic: string, correlation: string, atMs: number) => void
}

/** Counted over all connections. */
export interface TapSeen {
  connections: number
  requests: number
  redelivered: number
  requestAcks: number
  replies: number
  replyAcks: number
  /** Mosquitto 2.0.11 sends more than the Receive Maximum after a reconnection: counted, not held against anybody. */
  receiveMaximumExceededByBroker: number
  packets: number
  bytes: number
}

/** Something on the wire that must not be. */
export interface Violation {
  readonly connection: number
  /** Milliseconds since the epoch. */
  readonly atMs: number
  readonly rule:
    | 'ack-before-reply'
    | 'ack-order'
    | 'ack-unknown'
    | 'ack-stale-epoch'
    | 'foreign-topic'
    | 'packet-too-large'
    | 'receive-maximum'
    | 'malformed'
  readonly what: string
}

/** What a judge shares with those of other connections. */
export interface TapCourt {
  violated(violation: Violation): void
  replied(): void
  staleIds(): ReadonlySet<number>
  /** The connection is usable: from now on its identifiers are what a later one may confuse. */
  opened(ids: ReadonlySet<number>): void
}

interface OpenRequest {
  readonly packetId: number
  readonly topic: string
  readonly replyTopic: string
  readonly correlation: string
  readonly arrivedAtMs: number
  readonly expiresAtMs: number
  readonly answers: Answers
}

// Replies of one key that the broker acknowledged and no request has used up.
interface Answers {
  count: number
  /** Requests and replies of this key that are under way here. */
  open: number
}

interface OpenReply {
  readonly replyTopic: string
  readonly correlation: string
  readonly answers: Answers
}

// Message Expiry Interval counts whole seconds; half of one is nobody's fault.
const EXPIRY_SLACK_MS = 500

/** Reads along on one connection. */
export class TapJudge implements Witness {
  readonly #connection: number
  readonly #rules: TapRules
  readonly #seen: TapSeen
  readonly #court: TapCourt
  readonly #up: PacketScanner
  readonly #down: PacketScanner
  // Requests in arrival order. Bounded by the Receive Maximum, or by what the broker makes of it.
  #requests: OpenRequest[] = []
  #head = 0
  readonly #openIds = new Set<number>()
  readonly #replies = new Map<number, OpenReply>()
  readonly #answers = new Map<string, Answers>()
  #ids: ReadonlySet<number> = new Set()
  #connectorReceiveMaximum = 65_535
  #brokerReceiveMaximum = 65_535
  #packetBytesMax = Number.POSITIVE_INFINITY
  #isBroken = false

  constructor(connection: number, rules: TapRules, seen: TapSeen, court: TapCourt) {
    this.#connection = connection
    this.#rules = rules
    this.#seen = seen
    this.#court = court
    this.#up = new PacketScanner((head, bytes, start, end) => this.#sent(head, bytes, start, end))
    this.#down = new PacketScanner((head, bytes, start, end) => this.#received(head, bytes, start, end))
  }

  readonly fromClient = (chunk: Buffer): void => this.#read(this.#up, chunk)
  readonly fromServer = (chunk: Buffer): void => this.#read(this.#down, chunk)

  #read(scanner: PacketScanner, chunk: Buffer): void {
    if (this.#isBroken) return
    this.#seen.bytes += chunk.length
    try {
      scanner.push(chunk)
    } catch (error) {
      this.#isBroken = true
      this.#violated('malformed', error instanceof Error ? error.message : String(error))
    }
  }

  // From the connector.
  #sent(head: number, bytes: Buffer, start: number, end: number): void {
    this.#seen.packets += 1
    const size =
      end - start + (end - start < 0x80 ? 2 : end - start < 0x4000 ? 3 : end - start < 0x20_0000 ? 4 : 5)
    if (size > this.#packetBytesMax) {
      this.#violated(
        'packet-too-large',
        `A packet of ${size} bytes; the broker announced ${this.#packetBytesMax}.`,
      )
    }
    const type = head >> 4
    if (type === 3) this.#published(head, bytes, start)
    else if (type === 4) this.#acknowledged(bytes.readUInt16BE(start))
    else if (type === 1) this.#connect(decode(head, bytes, start, end) as IConnectPacket)
  }

  // From the broker, when it is passed on to the connector.
  #received(head: number, bytes: Buffer, start: number, end: number): void {
    this.#seen.packets += 1
    const type = head >> 4
    if (type === 3) this.#delivered(head, bytes, start)
    else if (type === 4) this.#replyTaken(bytes.readUInt16BE(start), end - start > 2 ? bytes[start + 2]! : 0)
    else if (type === 2) this.#connack(decode(head, bytes, start, end) as IConnackPacket)
  }

  #connect(packet: IConnectPacket): void {
    this.#connectorReceiveMaximum = packet.properties?.receiveMaximum ?? 65_535
  }

  #connack(packet: IConnackPacket): void {
    this.#brokerReceiveMaximum = packet.properties?.receiveMaximum ?? 65_535
    this.#packetBytesMax = packet.properties?.maximumPacketSize ?? Number.POSITIVE_INFINITY
    // What a late PUBACK of the connection before would name.
    this.#ids = new Set(this.#court.staleIds())
    this.#court.opened(this.#openIds)
  }

  #delivered(head: number, bytes: Buffer, start: number): void {
    const view = viewPublish(head, bytes, start)
    const { topic, packetId, correlation } = view
    if (view.qos === 0) return
    this.#seen.requests += 1
    if (view.isDup) this.#seen.redelivered += 1
    const root = this.#rules.requestRoots.find((each) => topic.startsWith(each))
    const replyTopic = root === undefined ? '' : this.#replyTopicOf(view, root)
    const answers = root === undefined ? SETTLED_WITHOUT_REPLY : this.#answersOf(replyTopic, correlation)
    answers.open += 1
    const arrivedAtMs = Date.now()
    this.#requests.push({
      packetId,
      topic,
      replyTopic,
      correlation,
      arrivedAtMs,
      expiresAtMs: arrivedAtMs + view.expirySeconds * 1000 - EXPIRY_SLACK_MS,
      answers,
    })
    this.#openIds.add(packetId)
    if (this.#requests.length - this.#head > this.#connectorReceiveMaximum) {
      this.#seen.receiveMaximumExceededByBroker += 1
    }
  }

  #replyTaken(packetId: number, reasonCode: number): void {
    const reply = this.#replies.get(packetId)
    if (reply === undefined) return
    this.#replies.delete(packetId)
    this.#seen.replyAcks += 1
    reply.answers.open -= 1
    // Refused is settled too: no reply can ever be addressed.
    reply.answers.count += 1
    if (reasonCode < 0x80) this.#rules.onReplyTaken?.(reply.replyTopic, reply.correlation, Date.now())
    this.#forget(reply)
  }

  #published(head: number, bytes: Buffer, start: number): void {
    const { topic, qos, packetId, correlation } = viewPublish(head, bytes, start)
    const { replyRoots, ownTopics } = this.#rules
    if (!replyRoots.some((root) => topic.startsWith(root))) {
      if (ownTopics.some((own) => (own.endsWith('/') ? topic.startsWith(own) : topic === own))) return
      return this.#violated('foreign-topic', `PUBLISH on "${topic}".`)
    }
    this.#seen.replies += 1
    if (qos > 0) {
      const answers = this.#answersOf(topic, correlation)
      answers.open += 1
      this.#replies.set(packetId, { replyTopic: topic, correlation, answers })
      if (this.#replies.size > this.#brokerReceiveMaximum) {
        this.#violated(
          'receive-maximum',
          `${this.#replies.size} publishes without PUBACK; the broker announced ${this.#brokerReceiveMaximum}.`,
        )
      }
    }
    this.#court.replied()
  }

  #acknowledged(packetId: number): void {
    this.#seen.requestAcks += 1
    const next = this.#requests[this.#head]
    if (next === undefined || !this.#openIds.has(packetId)) return this.#acknowledgedUnknown(packetId)
    const index = next.packetId === packetId ? this.#head : this.#indexOf(packetId)
    const request = this.#requests[index]!
    this.#take(index)
    this.#openIds.delete(packetId)
    if (request !== next) {
      this.#violated(
        'ack-order',
        `PUBACK ${packetId} for ${describe(request)} where ${next.packetId} was next, for ${describe(next)}.`,
      )
    }
    if (request.answers === SETTLED_WITHOUT_REPLY) return
    request.answers.open -= 1
    if (request.answers.count > 0) request.answers.count -= 1
    else if (Date.now() < request.expiresAtMs) {
      this.#violated(
        'ack-before-reply',
        `PUBACK ${packetId} for ${describe(request)} before the broker acknowledged a reply to it.`,
      )
    }
    this.#forget(request)
  }

  #acknowledgedUnknown(packetId: number): void {
    const isStale = this.#ids.has(packetId)
    this.#violated(
      isStale ? 'ack-stale-epoch' : 'ack-unknown',
      isStale
        ? `PUBACK ${packetId}, which was open on an earlier connection only.`
        : `PUBACK ${packetId} for nothing that is open on this connection.`,
    )
  }

  #indexOf(packetId: number): number {
    return this.#requests.findIndex((request, index) => index >= this.#head && request.packetId === packetId)
  }

  #take(index: number): void {
    if (index !== this.#head) return void this.#requests.splice(index, 1)
    this.#head += 1
    if (this.#head < 1024 && this.#head < this.#requests.length) return
    this.#requests = this.#requests.slice(this.#head)
    this.#head = 0
  }

  #answersOf(replyTopic: string, correlation: string): Answers {
    const key = `${replyTopic} ${correlation}`
    let answers = this.#answers.get(key)
    if (answers === undefined) this.#answers.set(key, (answers = { count: 0, open: 0 }))
    return answers
  }

  // The Response Topic where the client may be answered there, else the request's topic below the root of the replies.
  #replyTopicOf({ topic, responseTopic }: PublishView, requestRoot: string): string {
    const { replyRoots } = this.#rules
    if (responseTopic !== '' && replyRoots.some((root) => responseTopic.startsWith(root)))
      return responseTopic
    return replyRoots[0]! + topic.slice(requestRoot.length)
  }

  #forget({ replyTopic, correlation, answers }: OpenReply): void {
    if (answers.open === 0) this.#answers.delete(`${replyTopic} ${correlation}`)
  }

  #violated(rule: Violation['rule'], what: string): void {
    this.#court.violated({ connection: this.#connection, atMs: Date.now(), rule, what })
  }
}

// Cancellations and other things that the connector subscribes to are settled without a reply.
const SETTLED_WITHOUT_REPLY: Answers = { count: 0, open: 0 }

function describe(request: OpenRequest): string {
  const ageMs = Date.now() - request.arrivedAtMs
  return `"${request.topic}" (correlation ${request.correlation}, delivered ${ageMs} ms ago)`
}

function decode(head: number, bytes: Buffer, start: number, end: number): Packet | undefined {
  const header = [head]
  let rest = end - start
  do {
    header.push(rest > 0x7f ? (rest & 0x7f) | 0x80 : rest)
    rest >>>= 7
  } while (rest > 0)
  let packet: Packet | undefined
  const reader = mqttPacket.parser({ protocolVersion: 5 })
  reader.on('packet', (read) => (packet = read))
  reader.on('error', (error) => {
    throw error
  })
  reader.parse(Buffer.concat([Buffer.from(header), bytes.subarray(start, end)]))
  return packet
}

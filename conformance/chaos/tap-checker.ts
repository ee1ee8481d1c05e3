// Checks, packet by packet, that one connection between connector and broker meets requirements D1 and D3 and the
// broker's limits.
import { hash } from 'node:crypto'
import mqttPacket, { type IConnackPacket, type IConnectPacket, type Packet } from 'mqtt-packet'
import { OpenRequests } from '../checkers/open-requests.ts'
import type { Attempt, PartMark, PartOrder, PartRule } from '../checkers/part-order.ts'
import type { Witness } from '../rig/proxy.ts'
import { PacketScanner, partMarkOf, viewPublish, type PublishView } from '../rig/wire.ts'

/** The rules that the connector must follow. */
export interface TapRules {
  /** Topic prefixes of requests. A request may be acknowledged only after its answer. */
  readonly requestRoots: readonly string[]
  /** Topic prefixes below which the connector may publish replies. */
  readonly replyRoots: readonly string[]
  /** Other allowed topics: status, model cards, a dead-letter topic. A trailing `/` allows the whole subtree. */
  readonly ownTopics: readonly string[]
  /**
   * Age in milliseconds at which an unanswered request stops delaying the PUBACKs of later requests. Infinity = it
   * always delays them (`strict`), 0 = it never does (`as-settled`).
   */
  readonly ackHoldMaxMs: number
  /** Called when the broker's PUBACK for a reply reaches the connector. `atMs` is in milliseconds since the epoch. */
  readonly onReplyTaken?: (topic: string, correlation: string, atMs: number) => void
}

/** Totals of all connections. */
export interface TapSeen {
  connections: number
  requests: number
  redelivered: number
  requestAcks: number
  /** Number of PUBACKs that overtook the PUBACK of an earlier request. */
  requestAcksOutOfOrder: number
  /** Number of single-message answers, and of final messages of multi-part answers. */
  replies: number
  replyAcks: number
  /** Number of messages of multi-part answers, excluding the final ones. */
  parts: number
  /** Mosquitto 2.0.11 exceeds the Receive Maximum after a reconnect. This is counted, but is not a violation. */
  receiveMaximumExceededByBroker: number
  packets: number
  bytes: number
}

/** A violation of a rule in the packets of a connection. */
export interface Violation {
  readonly connection: number
  /** Milliseconds since the epoch. */
  readonly atMs: number
  readonly rule:
    | 'ack-before-reply'
    | 'ack-order'
    | 'ack-wrap'
    | 'ack-unknown'
    | 'ack-stale-epoch'
    | PartRule
    | 'foreign-topic'
    | 'packet-too-large'
    | 'receive-maximum'
    | 'malformed'
  readonly what: string
}

/** State that the checkers of all connections share. */
export interface TapShared {
  readonly parts: PartOrder
  violated(violation: Violation): void
  replied(): void
  staleIds(): ReadonlySet<number>
  /**
   * Called when a connection is established. `ids` is the changing set of the connection's open identifiers. The
   * connector could by mistake acknowledge one of these identifiers on a later connection.
   */
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

// Counts for one key. `count` is the number of complete, acknowledged answers that have not yet been matched with a
// request.
interface Answers {
  count: number
  /** Number of requests and replies with this key that are in flight. */
  open: number
  /** Number of delivered requests whose answer has no final message yet. */
  unanswered: number
}

interface OpenReply {
  readonly replyTopic: string
  readonly correlation: string
  readonly answers: Answers
  /** Undefined for a single-message answer. */
  readonly part: { readonly attempt: Attempt; readonly mark: PartMark } | undefined
}

// The Message Expiry Interval is in whole seconds: a difference of half a second is not a violation.
const EXPIRY_SLACK_MS = 500
// The tap reads a delivery before the connector does, and a PUBACK after the connector has written it. Therefore, the
// tap may measure an age that exceeds the connector's by up to this time.
const HOLD_SLACK_MS = 20

/** Checks the packets of one connection. */
export class TapChecker implements Witness {
  readonly #connection: number
  readonly #rules: TapRules
  readonly #seen: TapSeen
  readonly #shared: TapShared
  readonly #up: PacketScanner
  readonly #down: PacketScanner
  readonly #requests = new OpenRequests<OpenRequest>()
  readonly #replies = new Map<number, OpenReply>()
  readonly #answers = new Map<string, Answers>()
  #ids: ReadonlySet<number> = new Set()
  #connectorReceiveMaximum = 65_535
  #brokerReceiveMaximum = 65_535
  #packetBytesMax = Number.POSITIVE_INFINITY
  #isBroken = false

  constructor(connection: number, rules: TapRules, seen: TapSeen, shared: TapShared) {
    this.#connection = connection
    this.#rules = rules
    this.#seen = seen
    this.#shared = shared
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

  // Checks a packet from the connector.
  #sent(head: number, bytes: Buffer, start: number, end: number): void {
    this.#seen.packets += 1
    const size =
      end - start + (end - start < 0x80 ? 2 : end - start < 0x4000 ? 3 : end - start < 0x20_0000 ? 4 : 5)
    if (size > this.#packetBytesMax) {
      this.#violated(
        'packet-too-large',
        `The packet has ${size} bytes; the broker's Maximum Packet Size is ${this.#packetBytesMax}.`,
      )
    }
    const type = head >> 4
    if (type === 3) this.#published(head, bytes, start, end)
    else if (type === 4) this.#acknowledged(bytes.readUInt16BE(start))
    else if (type === 1) this.#connect(decode(head, bytes, start, end) as IConnectPacket)
  }

  // Checks a packet from the broker when it is forwarded to the connector.
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
    // A PUBACK with one of these identifiers may be a late PUBACK for a request from an earlier connection.
    this.#ids = new Set(this.#shared.staleIds())
    this.#shared.opened(this.#requests.ids)
  }

  #delivered(head: number, bytes: Buffer, start: number): void {
    const view = viewPublish(head, bytes, start)
    if (view.qos === 0) return
    this.#seen.requests += 1
    if (view.isDup) this.#seen.redelivered += 1
    if (this.#isOpenAlready(view)) return
    const { topic, packetId, correlation } = view
    const root = this.#rules.requestRoots.find((each) => topic.startsWith(each))
    const replyTopic = root === undefined ? '' : this.#replyTopicOf(view, root)
    const answers = root === undefined ? SETTLED_WITHOUT_REPLY : this.#answersOf(replyTopic, correlation)
    answers.open += 1
    answers.unanswered += 1
    const arrivedAtMs = Date.now()
    this.#requests.add({
      packetId,
      topic,
      replyTopic,
      correlation,
      arrivedAtMs,
      expiresAtMs: arrivedAtMs + view.expirySeconds * 1000 - EXPIRY_SLACK_MS,
      answers,
    })
    if (this.#requests.size > this.#connectorReceiveMaximum) {
      this.#seen.receiveMaximumExceededByBroker += 1
    }
  }

  // A DUP on the same connection is not a second request: some brokers resend a request that is not acknowledged soon.
  #isOpenAlready({ isDup, packetId, topic, correlation }: PublishView): boolean {
    return (
      isDup &&
      this.#requests
        .under(packetId)
        .some((request) => request.topic === topic && request.correlation === correlation)
    )
  }

  #replyTaken(packetId: number, reasonCode: number): void {
    const reply = this.#replies.get(packetId)
    if (reply === undefined) return
    this.#replies.delete(packetId)
    const { answers, part } = reply
    answers.open -= 1
    // A rejected reply counts as an answer, because no other reply can reach the requester.
    const isRefused = reasonCode >= 0x80
    answers.count +=
      part === undefined ? 1 : this.#shared.parts.acknowledged(part.attempt, part.mark, isRefused)
    if (part === undefined || part.mark.isFinal) {
      this.#seen.replyAcks += 1
      if (!isRefused) this.#rules.onReplyTaken?.(reply.replyTopic, reply.correlation, Date.now())
    }
    this.#forget(reply)
  }

  #published(head: number, bytes: Buffer, start: number, end: number): void {
    const view = viewPublish(head, bytes, start)
    const { topic, qos } = view
    const { replyRoots, ownTopics } = this.#rules
    if (!replyRoots.some((root) => topic.startsWith(root))) {
      if (ownTopics.some((own) => (own.endsWith('/') ? topic.startsWith(own) : topic === own))) return
      return this.#violated('foreign-topic', `PUBLISH on "${topic}".`)
    }
    const mark = partMarkOf(bytes, view)
    if (mark === undefined || mark.isFinal) this.#seen.replies += 1
    else this.#seen.parts += 1
    if (qos > 0) this.#replied(view, mark, bytes.subarray(view.payloadStart, end))
    this.#shared.replied()
  }

  #replied({ topic, packetId, correlation }: PublishView, mark: PartMark | undefined, payload: Buffer): void {
    const answers = this.#answersOf(topic, correlation)
    answers.open += 1
    const key = keyOf({ replyTopic: topic, correlation })
    const part = mark && {
      mark,
      attempt: this.#shared.parts.sent({
        ...mark,
        key,
        content: mark.isFinal ? hash('sha1', payload) : '',
        connection: this.#connection,
        mayBegin: answers.unanswered > 0,
      }),
    }
    this.#replies.set(packetId, { replyTopic: topic, correlation, answers, part })
    if (answers.unanswered > 0 && mark?.isFinal !== false) answers.unanswered -= 1
    if (this.#replies.size > this.#brokerReceiveMaximum) {
      this.#violated(
        'receive-maximum',
        `${this.#replies.size} publishes in flight; the broker's Receive Maximum is ${this.#brokerReceiveMaximum}.`,
      )
    }
  }

  #acknowledged(packetId: number): void {
    this.#seen.requestAcks += 1
    const acknowledged = this.#requests.acknowledge(packetId, isDone)
    if (acknowledged === undefined) return this.#acknowledgedUnknown(packetId)
    const { request, passed, isAmbiguous } = acknowledged
    if (passed !== undefined) this.#acknowledgedBefore(passed, request)
    if (isAmbiguous) {
      this.#violated(
        'ack-wrap',
        `PUBACK ${packetId} has the identifier of several open requests, not all of which are answered: the broker deletes the oldest, ${describe(request)}.`,
      )
    }
    if (request.answers === SETTLED_WITHOUT_REPLY) return
    this.#settled(request, !isAmbiguous)
  }

  // MQTT 5 §4.6 requires arrival order, but a slow request may delay later requests only up to the configured age.
  #acknowledgedBefore(passed: OpenRequest, request: OpenRequest): void {
    this.#seen.requestAcksOutOfOrder += 1
    if (Date.now() - passed.arrivedAtMs >= this.#rules.ackHoldMaxMs - HOLD_SLACK_MS) return
    this.#violated(
      'ack-order',
      `PUBACK ${request.packetId} for ${describe(request)} overtook PUBACK ${passed.packetId} for ${describe(passed)}.`,
    )
  }

  #settled(request: OpenRequest, isJudged: boolean): void {
    const { answers, packetId } = request
    const isExpired = Date.now() >= request.expiresAtMs
    answers.open -= 1
    if (answers.count > 0) answers.count -= 1
    else if (isJudged && !isExpired) {
      this.#violated(
        'ack-before-reply',
        `PUBACK ${packetId} for ${describe(request)} was sent before the broker acknowledged a complete answer to it.`,
      )
    }
    const key = keyOf(request)
    if (answers.open === 0 && !isExpired && this.#shared.parts.isUnfinished(key, this.#connection)) {
      this.#violated(
        'part-order',
        `PUBACK ${packetId} for ${describe(request)} was sent, but the answer to this request has no final message.`,
      )
    }
    this.#forget(request)
  }

  #acknowledgedUnknown(packetId: number): void {
    const isStale = this.#ids.has(packetId)
    this.#violated(
      isStale ? 'ack-stale-epoch' : 'ack-unknown',
      isStale
        ? `PUBACK ${packetId} belongs to a request from an earlier connection.`
        : `PUBACK ${packetId} was sent, but no request with this identifier is open.`,
    )
  }

  #answersOf(replyTopic: string, correlation: string): Answers {
    const key = keyOf({ replyTopic, correlation })
    let answers = this.#answers.get(key)
    if (answers === undefined) this.#answers.set(key, (answers = { count: 0, open: 0, unanswered: 0 }))
    return answers
  }

  // Returns the Response Topic if replies are allowed there, otherwise the request's topic levels below the reply root.
  #replyTopicOf({ topic, responseTopic }: PublishView, requestRoot: string): string {
    const { replyRoots } = this.#rules
    if (responseTopic !== '' && replyRoots.some((root) => responseTopic.startsWith(root)))
      return responseTopic
    return replyRoots[0]! + topic.slice(requestRoot.length)
  }

  #forget(one: Keyed & { readonly answers: Answers }): void {
    if (one.answers.open === 0) this.#answers.delete(keyOf(one))
  }

  #violated(rule: Violation['rule'], what: string): void {
    this.#shared.violated({ connection: this.#connection, atMs: Date.now(), rule, what })
  }
}

// The connector acknowledges cancellations and messages of its other subscriptions without a reply.
const SETTLED_WITHOUT_REPLY: Answers = { count: 0, open: 0, unanswered: 0 }

interface Keyed {
  readonly replyTopic: string
  readonly correlation: string
}

function keyOf({ replyTopic, correlation }: Keyed): string {
  return `${replyTopic} ${correlation}`
}

function isDone({ answers, expiresAtMs }: OpenRequest): boolean {
  return answers === SETTLED_WITHOUT_REPLY || answers.count > 0 || Date.now() >= expiresAtMs
}

function describe(request: OpenRequest): string {
  const ageMs = Date.now() - request.arrivedAtMs
  return `"${request.topic}" (Correlation Data ${request.correlation}, delivered ${ageMs} ms ago)`
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

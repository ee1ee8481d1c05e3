// A simulated MQTT broker: one session with its queue, its window, its redeliveries and its faults.
import {
  generate,
  type IConnectPacket,
  type IPublishPacket,
  type ISubscribePacket,
  type IUnsubscribePacket,
  type Packet,
} from 'mqtt-packet'
import type { Owner, SimulatedClock } from './clock.ts'
import type { LossReason, RunEvent } from './history.ts'
import type { Link } from './link.ts'
import { partMarkOf } from './publish-event.ts'
import type { PlannedRequest, Scenario } from './scenario.ts'

interface Message {
  readonly number: number
  readonly request: PlannedRequest
  /** Whether this is a cancel message for `request`, instead of the request itself. */
  readonly isCancel: boolean
  readonly expiresAtMs: number | undefined
  readonly retain: boolean
}

interface InFlight {
  readonly packetId: number
  readonly message: Message
}

// The session state that the broker holds for the connector (MQTT 5 §4.1).
interface Session {
  readonly filters: Set<string>
  readonly queue: Message[]
  /** Messages in the order of their first delivery. */
  readonly inFlight: InFlight[]
  lastId: number
  receiveMaximum: number
}

const MALFORMED = 0x81
const TAKEN_OVER = 0x8e
const TOO_LARGE = 0x95

/** The broker with the connector's session. It is a separate process, which may freeze. */
export class SimulatedBroker {
  readonly owner: Owner = { name: 'broker', isAlive: true, frozenUntilMs: 0, timers: 0, isAsync: false }
  isUp = true
  refusal: { readonly reasonCode: number; readonly untilMs: number } = { reasonCode: 0, untilMs: 0 }
  subscribeRefusal: { readonly reasonCode: number; readonly untilMs: number } = { reasonCode: 0, untilMs: 0 }
  replyRefusal: { readonly reasonCode: number; readonly untilMs: number } = { reasonCode: 0, untilMs: 0 }
  readonly #clock: SimulatedClock
  readonly #scenario: Scenario
  readonly #record: (event: RunEvent) => void
  readonly #requestOf: (reply: IPublishPacket) => PlannedRequest | undefined
  // MQTT 3.1.1 has no Retain Handling: the broker sends the retained messages again after each SUBSCRIBE.
  readonly #retained = new Map<string, PlannedRequest>()
  #session: Session | undefined
  #link: Link | undefined
  #messages = 0
  #starts = 0

  constructor(
    clock: SimulatedClock,
    scenario: Scenario,
    record: (event: RunEvent) => void,
    requestOf: (reply: IPublishPacket) => PlannedRequest | undefined,
  ) {
    this.#clock = clock
    this.#scenario = scenario
    this.#record = record
    this.#requestOf = requestOf
  }

  /** Number of messages that the broker holds for the connector. */
  get held(): number {
    return this.#session === undefined ? 0 : this.#session.queue.length + this.#session.inFlight.length
  }

  /** Receives a request or a cancel message from a requester. */
  publish(request: PlannedRequest, isCancel: boolean): void {
    if (request.retain && !isCancel) this.#retained.set(request.topic, request)
    const isRouted = this.#isSubscribedTo(isCancel ? 'cancel/#' : 'request/#')
    // Retain As Published = 1 keeps the Retain flag. In MQTT 3.1.1, new messages never have the flag.
    const message = this.#message(request, isCancel, request.retain && this.#scenario.protocolVersion === 5)
    const reasonCode = isRouted ? 0 : 0x10
    this.#requested(message, reasonCode)
    if (!isRouted) return
    // QoS 0 messages are not queued for a disconnected session.
    if (request.qos === 0 && this.#link === undefined) return
    this.#session!.queue.push(message)
    this.#pump()
  }

  received(link: Link, packet: Packet): void {
    if (packet.cmd === 'connect') return this.#connect(link, packet)
    // Ignores a late packet of a closed connection.
    if (link !== this.#link) return
    const { cmd } = packet
    if (cmd === 'publish') return this.#published(link, packet)
    if (cmd === 'puback') return this.#acknowledged(link, packet.messageId!)
    if (cmd === 'pingreq') return this.#send(link, { cmd: 'pingresp' })
    if (cmd === 'subscribe') return this.#subscribe(link, packet)
    if (cmd === 'unsubscribe') return this.#unsubscribe(link, packet)
    if (cmd !== 'disconnect') return this.#disconnect(link, MALFORMED)
    this.#link = undefined
    link.close()
  }

  /** Makes the broker notice that the connection is closed. */
  ended(link: Link): void {
    if (link === this.#link) this.#link = undefined
  }

  /** Simulates another client with the same client identifier, which takes over the session and disconnects. */
  takeOver(): void {
    if (this.#link !== undefined) this.#disconnect(this.#link, TAKEN_OVER)
  }

  /** Stops the broker at once; all connections are lost. */
  stop(keepsSession: boolean): void {
    this.isUp = false
    const link = this.#link
    this.#link = undefined
    link?.cut(0)
    if (keepsSession || this.#session === undefined) return
    this.#loseAll(this.#session, 'session')
    this.#session = undefined
  }

  start(): void {
    this.isUp = true
    this.#starts += 1
  }

  #message(request: PlannedRequest, isCancel: boolean, retain: boolean): Message {
    const { expirySeconds } = request
    const expiresAtMs = expirySeconds === undefined ? undefined : this.#clock.nowMs + expirySeconds * 1000
    return { number: ++this.#messages, request, isCancel, expiresAtMs, retain: retain && !isCancel }
  }

  #requested(message: Message, reasonCode: number): void {
    const { number, isCancel, expiresAtMs } = message
    const { key } = message.request
    this.#record({ kind: 'requested', key, isCancel, message: number, reasonCode, expiresAtMs })
  }

  // Compares the end of the filter, because a shared subscription has a prefix.
  #isSubscribedTo(filterEnd: string): boolean {
    return [...(this.#session?.filters ?? [])].some((filter) => filter.endsWith(filterEnd))
  }

  #connect(link: Link, packet: IConnectPacket): void {
    if (!this.isUp) return
    const { nowMs } = this.#clock
    const old = this.#link
    if (old !== undefined) this.#disconnect(old, TAKEN_OVER)
    if (nowMs < this.refusal.untilMs) {
      this.#connack(link, this.refusal.reasonCode, false)
      return link.close()
    }
    if (packet.clean === true && this.#session !== undefined) {
      this.#loseAll(this.#session, 'clean start')
      this.#session = undefined
    }
    const isPresent = this.#session !== undefined
    this.#session ??= { filters: new Set(), queue: [], inFlight: [], lastId: 0, receiveMaximum: 0 }
    // MQTT 3.1.1 has no Receive Maximum. Without a limit of its own, a broker would reuse identifiers in flight.
    this.#session.receiveMaximum = packet.properties?.receiveMaximum ?? this.#scenario.packetIds / 2
    this.#link = link
    this.#connack(link, 0, isPresent)
    // MQTT 5 §4.4: unacknowledged messages are redelivered first, in order, with their identifiers.
    for (const { packetId, message } of this.#session.inFlight.splice(0)) {
      if (this.#isExpired(message)) {
        this.#lose(message, 'expired')
      } else {
        this.#session.inFlight.push({ packetId, message })
        this.#deliver(link, packetId, message, true)
      }
    }
    this.#pump()
  }

  #connack(link: Link, code: number, sessionPresent: boolean): void {
    const { protocolVersion, brokerReceiveMaxima, brokerPacketBytesMax } = this.#scenario
    const isV5 = protocolVersion === 5
    const receiveMaximum = brokerReceiveMaxima[this.#starts % brokerReceiveMaxima.length]!
    const properties =
      isV5 && code === 0 ? { receiveMaximum, maximumPacketSize: brokerPacketBytesMax } : undefined
    const returnCode = code === 0 ? 0 : code === 0x87 ? 5 : 3
    const bytes = generate(
      {
        cmd: 'connack',
        sessionPresent,
        ...(isV5 ? { reasonCode: code } : { returnCode }),
        ...(properties === undefined ? {} : { properties }),
      } as Packet,
      { protocolVersion },
    )
    link.send(bytes, () => {
      const limit = isV5 ? receiveMaximum : 65_535
      this.#record({
        kind: 'connack',
        connection: link.number,
        reasonCode: code,
        sessionPresent,
        receiveMaximum: limit,
      })
    })
  }

  #subscribe(link: Link, { messageId, subscriptions }: ISubscribePacket): void {
    const { subscribeRefusal } = this
    const isRefused = this.#clock.nowMs < subscribeRefusal.untilMs
    const { reasonCode } = subscribeRefusal
    // MQTT 3.1.1 has a single code for all refusals.
    const refusal = this.#scenario.protocolVersion === 4 ? Math.min(reasonCode, 0x80) : reasonCode
    const code = isRefused ? refusal : 1
    if (!isRefused) for (const { topic } of subscriptions) this.#session!.filters.add(topic)
    this.#send(link, { cmd: 'suback', messageId: messageId!, granted: subscriptions.map(() => code) })
    if (isRefused || this.#scenario.protocolVersion === 5) return
    for (const request of this.#retained.values()) {
      const message = this.#message(request, false, true)
      this.#requested(message, 0)
      this.#session!.queue.push(message)
    }
    this.#pump()
  }

  #unsubscribe(link: Link, { messageId, unsubscriptions }: IUnsubscribePacket): void {
    for (const filter of unsubscriptions) this.#session!.filters.delete(filter)
    this.#send(link, { cmd: 'unsuback', messageId: messageId!, granted: unsubscriptions.map(() => 0) })
  }

  // Handles a publish from the connector: a reply or the connector's status.
  #published(link: Link, packet: IPublishPacket): void {
    const request = this.#requestOf(packet)
    const reasonCode = request === undefined ? 0 : this.#judgeReply(request, packet)
    if (reasonCode === 'hang up') return this.#disconnect(link, TOO_LARGE)
    // MQTT 3.1.1 has no reason codes: a rejected reply is dropped, but acknowledged.
    this.#record({ kind: 'accepted', key: request?.key, reasonCode, isPart: isPart(packet) })
    if (packet.qos === 0) return
    const isV5 = this.#scenario.protocolVersion === 5
    const puback = { cmd: 'puback', messageId: packet.messageId!, ...(isV5 ? { reasonCode } : {}) } as const
    this.#send(link, puback, () =>
      this.#record({
        kind: 'publish-ack',
        connection: link.number,
        packetId: packet.messageId!,
        reasonCode: isV5 ? reasonCode : 0,
      }),
    )
  }

  #judgeReply({ replyCode }: PlannedRequest, packet: IPublishPacket): number | 'hang up' {
    const { reasonCode, untilMs } = this.replyRefusal
    if (this.#clock.nowMs < untilMs) return reasonCode
    if (replyCode !== 'hang up') return replyCode
    // The broker disconnects only when it receives a successful answer; it accepts an error reply.
    return packet.payload.toString().includes('"answer"') ? 'hang up' : 0
  }

  // Like Mosquitto, deletes the oldest message with the identifier.
  #acknowledged(link: Link, packetId: number): void {
    const { inFlight } = this.#session!
    const index = inFlight.findIndex((each) => each.packetId === packetId)
    if (index === -1) {
      this.#record({ kind: 'unknown-ack', connection: link.number, packetId })
      return
    }
    const [{ message }] = inFlight.splice(index, 1) as [InFlight]
    this.#record({ kind: 'acknowledged', message: message.number, key: message.request.key })
    this.#pump()
  }

  #pump(): void {
    const session = this.#session!
    const link = this.#link
    if (link === undefined) return
    const { packetIds } = this.#scenario
    const inFlightMax = Math.min(session.receiveMaximum, packetIds)
    while (session.queue.length > 0 && session.inFlight.length < inFlightMax) {
      const message = session.queue.shift()!
      if (this.#isExpired(message)) {
        this.#lose(message, 'expired')
        continue
      }
      if (message.request.qos === 0) {
        this.#deliver(link, 0, message, false)
        continue
      }
      // Like Mosquitto, uses the next number, even if that identifier is still in flight.
      session.lastId = session.lastId === packetIds ? 1 : session.lastId + 1
      session.inFlight.push({ packetId: session.lastId, message })
      this.#deliver(link, session.lastId, message, false)
    }
  }

  #deliver(link: Link, packetId: number, message: Message, dup: boolean): void {
    const { request, isCancel, expiresAtMs, retain } = message
    const { protocolVersion } = this.#scenario
    // The broker sends the remaining time in whole seconds (MQTT 5 §3.3.2.3.3).
    const expirySeconds =
      expiresAtMs === undefined ? undefined : Math.max(1, Math.ceil((expiresAtMs - this.#clock.nowMs) / 1000))
    const properties = {
      ...(expirySeconds === undefined ? {} : { messageExpiryInterval: expirySeconds }),
      ...(request.responseTopic === undefined ? {} : { responseTopic: request.responseTopic }),
      ...(request.correlationData === undefined
        ? {}
        : { correlationData: Buffer.from(request.correlationData) }),
      ...(request.timeoutMs === undefined
        ? {}
        : { userProperties: { 'timeout-ms': String(request.timeoutMs) } }),
    }
    const packet: Packet = {
      cmd: 'publish',
      topic: isCancel ? request.topic.replace('/request/', '/cancel/') : request.topic,
      payload: isCancel ? '' : request.payload,
      qos: request.qos,
      retain,
      dup,
      ...(packetId === 0 ? {} : { messageId: packetId }),
      ...(protocolVersion === 5 ? { properties } : {}),
    }
    this.#send(link, packet, () =>
      this.#record({
        kind: 'delivery',
        connection: link.number,
        packetId,
        message: message.number,
        key: request.key,
        isCancel,
        dup,
        expirySeconds,
        qos: request.qos,
      }),
    )
  }

  #isExpired({ expiresAtMs }: Message): boolean {
    return expiresAtMs !== undefined && expiresAtMs <= this.#clock.nowMs
  }

  #loseAll({ inFlight, queue }: Session, reason: LossReason): void {
    for (const { message } of inFlight) this.#lose(message, reason)
    for (const message of queue) this.#lose(message, reason)
  }

  #lose(message: Message, reason: LossReason): void {
    this.#record({ kind: 'lost', message: message.number, key: message.request.key, reason })
  }

  #disconnect(link: Link, reasonCode: number): void {
    // An MQTT 3.1.1 broker never sends DISCONNECT.
    if (this.#scenario.protocolVersion === 5) this.#send(link, { cmd: 'disconnect', reasonCode })
    if (link === this.#link) this.#link = undefined
    link.close()
  }

  #send(link: Link, packet: Packet, arrived?: () => void): void {
    link.send(generate(packet, { protocolVersion: this.#scenario.protocolVersion }), arrived)
  }
}

// Returns whether the packet is a part of an answer, but not the final message.
function isPart(packet: IPublishPacket): boolean {
  return partMarkOf(packet)?.isFinal === false
}

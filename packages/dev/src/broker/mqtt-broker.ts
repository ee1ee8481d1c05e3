// The embedded broker without its sockets: handles connections and packets, with all state in memory.
//
// Packets are handled one after the other and synchronously. Messages therefore keep their order, and PUBACK is sent
// after the message has been delivered or queued.
import { randomUUID } from 'node:crypto'
import type { Duplex } from 'node:stream'
import type { IConnectPacket, IDisconnectPacket, ISubscribePacket } from 'mqtt-packet'
import type { BrokerAccess, BrokerUser } from './access.ts'
import { Connection, type ConnectionLimits, type ReceivedPacket } from './connection.ts'
import { MessageRouter, type PublishOutcome } from './message-router.ts'
import { messageOf, type Will } from './make-message.ts'
import type { Publication } from './publish-codec.ts'
import { quoted } from './quoted.ts'
import { REASON } from './refused-packet.ts'
import type { Session } from './session.ts'
import { NEVER_EXPIRES, SessionStore } from './session-store.ts'

/** Options of {@link MqttBroker}. */
export interface MqttBrokerOptions extends ConnectionLimits {
  /** Size of the largest accepted packet in bytes, for CONNACK. */
  readonly packetBytesMax: number
  /** Maximum number of sessions, including those of disconnected clients. */
  readonly sessionsMax: number
  /** Undefined: no login is required, and every topic is allowed. */
  readonly access: BrokerAccess | undefined
  readonly log: (line: string) => void
}

// A connection with its session and its Will.
interface Guest {
  readonly connection: Connection
  /** Kinds of log lines already written for this connection; each kind is written once. */
  readonly logged: Set<string>
  session?: Session | undefined
  will?: Will | undefined
}

// The Receive Maximum in CONNACK. It limits how many QoS 2 messages of a client may be waiting for their PUBREL.
const RECEIVE_MAXIMUM = 10_000
const CLIENT_ID_LENGTH_MAX = 128
const DISCONNECT_WITH_WILL = 4
// Return codes in CONNACK (MQTT 3.1.1 §3.2.2.3).
const RETURN_CODE = { identifierRejected: 2, serverUnavailable: 3, notAuthorized: 5 } as const

/** The broker: its connections, sessions and messages. */
export class MqttBroker {
  readonly #options: MqttBrokerOptions
  readonly #router: MessageRouter
  readonly #sessions: SessionStore
  readonly #guests = new Map<Connection, Guest>()

  constructor(options: MqttBrokerOptions) {
    this.#options = options
    this.#router = new MessageRouter(options.log)
    this.#sessions = new SessionStore(this.#router, options.log)
  }

  /** Serves one client. The stream must contain only well-formed packets. */
  serve(stream: Duplex): Connection {
    const connection: Connection = new Connection(stream, this.#options, {
      onConnect: (packet) => this.#connect(guest, packet),
      onPacket: (packet) => this.#handle(guest, packet),
      onDrain: () => guest.session?.flush(),
      onClose: () => {
        this.#guests.delete(connection)
        this.#leave(guest)
      },
      onCutOff: (reason) => this.#logLine(connection, reason),
    })
    const guest: Guest = { connection, logged: new Set() }
    this.#guests.set(connection, guest)
    return connection
  }

  /** Closes all connections and stops all searches; MQTT 5 clients receive DISCONNECT. */
  close(): void {
    this.#sessions.close()
    this.#router.close()
    for (const guest of this.#guests.values()) {
      guest.session = undefined
      guest.connection.end(REASON.serverShuttingDown)
    }
  }

  #connect(guest: Guest, packet: IConnectPacket): void {
    const { connection } = guest
    connection.version = packet.protocolVersion ?? 4
    connection.clientId = packet.clientId
    const refusal = refusalOf(packet)
    if (refusal !== undefined) return this.#refuse(connection, ...refusal)
    const { access } = this.#options
    if (access === undefined) return this.#accept(guest, packet, undefined)
    access.logIn(packet.username, packet.password).then(
      (user) => {
        if (user !== undefined) return this.#accept(guest, packet, user)
        this.#refuse(connection, 'wrong user name or password', ...NOT_AUTHORIZED)
      },
      (error: Error) => this.#refuse(connection, error.message, ...NOT_AUTHORIZED),
    )
  }

  #refuse(connection: Connection, reason: string, reasonCode: number, returnCode: number): void {
    this.#logLine(connection, reason)
    connection.send({ cmd: 'connack', sessionPresent: false, reasonCode, returnCode })
    connection.end()
  }

  #accept(guest: Guest, packet: IConnectPacket, user: BrokerUser | undefined): void {
    const { connection } = guest
    if (!connection.isOpen) return
    const clientId = packet.clientId === '' ? `auto-${randomUUID()}` : packet.clientId
    connection.clientId = clientId
    connection.user = user
    const existing = this.#sessions.get(clientId)
    if (existing !== undefined && existing.userName !== user?.name) {
      return this.#refuse(connection, 'the session belongs to another user', ...NOT_AUTHORIZED)
    }
    this.#takeOver(clientId)
    const isResumed = existing !== undefined && packet.clean !== true
    const { sessionsMax, packetBytesMax } = this.#options
    if (existing === undefined && this.#sessions.size >= sessionsMax && !this.#sessions.endOldest()) {
      return this.#refuse(connection, `the limit of ${sessionsMax} sessions is reached`, ...QUOTA_EXCEEDED)
    }
    // MQTT 5 [MQTT-3.1.2-4]
    if (existing !== undefined && !isResumed) this.#sessions.end(existing)
    const session = isResumed ? existing : this.#sessions.create(clientId, user?.name)
    this.#sessions.resume(session)
    session.expirySeconds = expirySecondsOf(packet)
    guest.session = session
    guest.will = this.#permittedWill(connection, packet)
    connection.send({
      cmd: 'connack',
      sessionPresent: isResumed,
      reasonCode: 0,
      returnCode: 0,
      properties: {
        maximumPacketSize: packetBytesMax,
        receiveMaximum: RECEIVE_MAXIMUM,
        ...(packet.clientId === '' && { assignedClientIdentifier: clientId }),
      },
    })
    connection.limitTo(packet)
    session.attach(connection)
    connection.accept(packet)
  }

  // MQTT 5 [MQTT-3.1.4-3]
  #takeOver(clientId: string): void {
    const connection = this.#sessions.get(clientId)?.connection
    const guest = connection === undefined ? undefined : this.#guests.get(connection)
    connection?.end(REASON.sessionTakenOver)
    // The connection may be broken without having emitted its close event, so its end is handled here.
    if (guest !== undefined) this.#leave(guest)
  }

  #permittedWill(connection: Connection, { will }: IConnectPacket): Will | undefined {
    if (will === undefined || connection.user?.may('write', will.topic) !== false) return will
    this.#logLine(connection, `its Will is ignored: ${notAllowed(will.topic)}`)
    return undefined
  }

  #leave(guest: Guest): void {
    const { session, will } = guest
    guest.session = undefined
    if (session !== undefined) this.#sessions.leave(session, will)
  }

  #handle(guest: Guest, packet: ReceivedPacket): void {
    const { connection, session } = guest
    if (session === undefined) return
    switch (packet.cmd) {
      case 'publish':
        return this.#publish(guest, session, packet)
      case 'puback':
      case 'pubcomp':
        return session.acknowledge(packet.messageId ?? 0)
      case 'pubrec':
        return receivePubrec(connection, session, packet.messageId ?? 0, packet.reasonCode ?? 0)
      case 'pubrel': {
        const messageId = packet.messageId ?? 0
        const isKnown = session.received.delete(messageId)
        const reasonCode = isKnown ? 0 : REASON.packetIdentifierNotFound
        connection.send({ cmd: 'pubcomp', messageId, reasonCode })
        return
      }
      case 'subscribe':
        return this.#subscribe(guest, session, packet)
      case 'unsubscribe': {
        const granted = packet.unsubscriptions.map((filter) =>
          this.#router.unsubscribe(session, filter) ? 0 : REASON.noSubscriptionExisted,
        )
        connection.send({ cmd: 'unsuback', messageId: packet.messageId ?? 0, granted })
        return
      }
      case 'pingreq':
        connection.send({ cmd: 'pingresp' })
        return
      case 'disconnect':
        return this.#disconnect(guest, session, packet)
      // `check-packet.ts` has already refused packets of these types.
      case 'auth':
      case 'connack':
      case 'connect':
      case 'pingresp':
      case 'suback':
      case 'unsuback':
    }
  }

  #publish(guest: Guest, session: Session, packet: Publication): void {
    const { connection } = guest
    const { qos, topic, messageId } = packet
    // MQTT 5 [MQTT-4.3.3-10]: a resent QoS 2 message must not be delivered again.
    if (qos === 2 && session.received.has(messageId)) {
      connection.send({ cmd: 'pubrec', messageId, reasonCode: 0 })
      return
    }
    const denial = denialOf(connection, topic)
    if (denial !== undefined) {
      this.#logOnce(guest, topic.startsWith('$') ? '$' : 'publish', denial)
    } else if (qos === 2 && session.received.size >= RECEIVE_MAXIMUM) {
      const reason = `more than ${RECEIVE_MAXIMUM} QoS 2 messages without PUBREL`
      return connection.cutOff(reason, REASON.receiveMaximumExceeded)
    }
    // MQTT 3.1.1 has no reason codes, so a message that is denied is acknowledged like any other ([MQTT-3.3.5-2]).
    // Mosquitto does the same.
    const reasonCode =
      denial === undefined
        ? REASON_OF_OUTCOME[this.#router.publish(messageOf(packet, session.clientId))]
        : REASON.notAuthorized
    if (qos === 0) return
    // MQTT 5 [MQTT-4.3.3-9]: no PUBREL follows a PUBREC with an error. An MQTT 3.1.1 client always sends PUBREL.
    if (qos === 2 && denial === undefined && (reasonCode < 0x80 || connection.version !== 5)) {
      session.received.add(messageId)
    }
    connection.send({ cmd: qos === 1 ? 'puback' : 'pubrec', messageId, reasonCode })
  }

  #subscribe(guest: Guest, session: Session, packet: ISubscribePacket): void {
    const { connection } = guest
    const identifier = packet.properties?.subscriptionIdentifier
    const sendRetained = packet.subscriptions.map((wanted) =>
      this.#router.subscribe(session, wanted, identifier),
    )
    // MQTT 3.1.1 has one code for every failure (§3.9.3).
    const failure = connection.version === 5 ? REASON.quotaExceeded : REASON.unspecifiedError
    const granted = packet.subscriptions.map(({ qos }, index) =>
      sendRetained[index] === undefined ? failure : qos,
    )
    if (granted.includes(failure)) {
      this.#logOnce(guest, 'subscribe', 'a SUBSCRIBE exceeds the subscription limit')
    }
    connection.send({ cmd: 'suback', messageId: packet.messageId ?? 0, granted })
    for (const send of sendRetained) send?.()
  }

  #disconnect(guest: Guest, session: Session, packet: IDisconnectPacket): void {
    const expirySeconds = packet.properties?.sessionExpiryInterval
    if (expirySeconds !== undefined) {
      // MQTT 5 §3.14.2.2.2: this is a protocol error, so the Will is published.
      if (session.expirySeconds === 0 && expirySeconds !== 0) {
        const reason = 'DISCONNECT has a Session Expiry Interval although it was 0 in CONNECT'
        return guest.connection.cutOff(reason, REASON.protocolError)
      }
      session.expirySeconds = expirySeconds
    }
    if (packet.reasonCode !== DISCONNECT_WITH_WILL) guest.will = undefined
    this.#leave(guest)
    guest.connection.end()
  }

  // Logs each kind of line once per connection, because a client could cause the same line thousands of times per
  // second.
  #logOnce({ connection, logged }: Guest, kind: string, line: string): void {
    if (logged.has(kind)) return
    logged.add(kind)
    this.#logLine(connection, `${line} (logged once per connection)`)
  }

  #logLine({ clientId }: Connection, line: string): void {
    this.#options.log(`MQTT: ${nameOf(clientId)}: ${line}`)
  }
}

/** Returns the name of a client for the log. */
export function nameOf(clientId: string): string {
  return clientId === '' ? 'a client without CONNECT' : `client ${quoted(clientId, CLIENT_ID_LENGTH_MAX)}`
}

const QUOTA_EXCEEDED = [REASON.quotaExceeded, RETURN_CODE.serverUnavailable] as const
const NOT_AUTHORIZED = [REASON.notAuthorized, RETURN_CODE.notAuthorized] as const

// Returns the reason for a refusal, with its MQTT 5 code and its MQTT 3.1.1 code. Undefined if the CONNECT is
// accepted.
function refusalOf(packet: IConnectPacket): readonly [string, number, number] | undefined {
  const codes = [REASON.clientIdentifierNotValid, RETURN_CODE.identifierRejected] as const
  if (packet.clientId.length > CLIENT_ID_LENGTH_MAX) {
    return [`the client identifier is longer than ${CLIENT_ID_LENGTH_MAX} characters`, ...codes]
  }
  // MQTT 3.1.1 [MQTT-3.1.3-8]
  if (packet.protocolVersion !== 5 && packet.clientId === '' && packet.clean !== true) {
    return ['a persistent session requires a client identifier', ...codes]
  }
  // MQTT 5 [MQTT-4.12.0-1]
  if (packet.properties?.authenticationMethod !== undefined) {
    return ['enhanced authentication is not supported', REASON.badAuthenticationMethod, 0]
  }
  return undefined
}

function expirySecondsOf(packet: IConnectPacket): number {
  if (packet.protocolVersion === 5) return packet.properties?.sessionExpiryInterval ?? 0
  return packet.clean === true ? 0 : NEVER_EXPIRES
}

function receivePubrec(
  connection: Connection,
  session: Session,
  messageId: number,
  reasonCode: number,
): void {
  // MQTT 5 [MQTT-4.3.3-4]
  if (reasonCode >= 0x80) return session.acknowledge(messageId)
  const isKnown = session.release(messageId)
  connection.send({
    cmd: 'pubrel',
    messageId,
    reasonCode: isKnown ? 0 : REASON.packetIdentifierNotFound,
  })
}

function denialOf({ user }: Connection, topic: string): string | undefined {
  if (topic.startsWith('$')) return 'clients may not publish to $ topics'
  return user?.may('write', topic) === false ? notAllowed(topic) : undefined
}

function notAllowed(topic: string): string {
  return `its user may not publish to ${quoted(topic, 200)}`
}

// MQTT 5 §3.4.2.1. A message that was retained has the outcome `kept`, because later subscribers receive it.
const REASON_OF_OUTCOME: Record<PublishOutcome, number> = {
  kept: 0,
  noSubscribers: REASON.noMatchingSubscribers,
  full: REASON.quotaExceeded,
}

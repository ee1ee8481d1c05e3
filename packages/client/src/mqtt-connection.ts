// The transport over mqtt.js. Each network connection uses a new mqtt.js client, so that mqtt.js resends nothing.
import { connect, UniqueMessageIdProvider } from 'mqtt'
import type {
  IClientOptions,
  IConnackPacket,
  IDisconnectPacket,
  IPublishPacket,
  ISubscriptionGrant,
  MqttClient,
  Packet,
} from 'mqtt'
import type { QoS } from '@inferwire/protocol'
import { delay } from './delay.ts'
import { dialError, subscribeError } from './broker-refusal.ts'
import { fromMqttProperties, toMqttProperties } from './mqtt-properties.ts'
import type {
  Connection,
  ConnectionEvents,
  ConnectionLimits,
  Dial,
  DialTarget,
  Message,
} from './transport.ts'

const RECEIVE_MAXIMUM_DEFAULT = 65_535
// The largest packet: the largest Remaining Length (MQTT 5 §1.5.5), plus a fixed header of five bytes.
const PACKET_BYTES_LIMIT = 268_435_455 + 5
const NO_MATCHING_SUBSCRIBERS = 0x10
// Time limit for sending DISCONNECT before the socket is destroyed.
const CLOSE_TIMEOUT_MS = 1_000

/** Opens a connection with mqtt.js. */
export const dialMqtt: Dial = (target, events, signal) =>
  new Promise((resolve, reject) => {
    let mqtt: MqttClient
    try {
      mqtt = connect(mqttOptions(target))
    } catch (error) {
      reject(dialError(target, error))
      return
    }
    noDelay(mqtt)
    let connection: MqttConnection | undefined
    const fail = (reason: unknown): void => {
      signal.removeEventListener('abort', abort)
      mqtt.end(true)
      reject(dialError(target, reason))
    }
    const abort = (): void => fail(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    // The messages of a resumed session may precede the event `connect`.
    const early: [string, Uint8Array, IPublishPacket][] = []
    mqtt.on('message', (topic, payload, packet) => {
      if (connection === undefined) early.push([topic, payload, packet])
      else connection.receive(topic, payload, packet)
    })
    // mqtt.js would continue after a malformed packet, although the rest of the stream can no longer be trusted.
    mqtt.on('error', (error) => (connection === undefined ? fail(error) : connection.breakOff(error)))
    mqtt.on('close', () => (connection === undefined ? fail(undefined) : connection.closed()))
    mqtt.once('connect', (connack) => {
      signal.removeEventListener('abort', abort)
      if (connack.properties?.maximumQoS === 0) {
        fail(new Error('the broker supports only QoS 0'))
        return
      }
      connection = new MqttConnection(mqtt, target, connack, events)
      for (const message of early.splice(0)) connection.receive(...message)
      resolve(connection)
    })
    if (signal.aborted) abort()
  })

function mqttOptions(target: DialTarget): IClientOptions {
  const { url, ca, cert, key } = target
  const isWebSocket = url.protocol === 'ws:' || url.protocol === 'wss:'
  return {
    protocol: url.protocol.slice(0, -1) as 'mqtt' | 'mqtts' | 'ws' | 'wss',
    host: url.hostname.replace(/^\[(.*)\]$/, isWebSocket ? '[$1]' : '$1'),
    ...(url.port === '' ? {} : { port: Number(url.port) }),
    ...(isWebSocket ? { path: `${url.pathname}${url.search}` } : {}),
    protocolVersion: target.protocolVersion,
    clientId: target.clientId,
    ...(target.username === undefined ? {} : { username: target.username }),
    ...(target.password === undefined ? {} : { password: target.password }),
    ...(ca === undefined ? {} : { ca: ca as Buffer }),
    ...(cert === undefined ? {} : { cert: cert as Buffer }),
    ...(key === undefined ? {} : { key: key as Buffer }),
    rejectUnauthorized: target.rejectUnauthorized,
    // Without a Receive Maximum, Mosquitto sends only 20 unacknowledged replies at a time, and drops the replies
    // that its queue cannot hold.
    ...(target.protocolVersion === 5 ? { properties: connectProperties(target) } : {}),
    connectTimeout: target.connectTimeoutMs,
    keepalive: target.keepAliveSeconds,
    clean: target.isCleanStart,
    // Link reconnects with a new client: the old client would resend its stored packets and reuse packet
    // identifiers.
    reconnectPeriod: 0,
    resubscribe: false,
    queueQoSZero: false,
    // The default provider may assign a packet identifier that is still in use.
    messageIdProvider: new UniqueMessageIdProvider(),
  }
}

function connectProperties({ sessionExpirySeconds }: DialTarget): IClientOptions['properties'] {
  return {
    receiveMaximum: RECEIVE_MAXIMUM_DEFAULT,
    ...(sessionExpirySeconds === 0 ? {} : { sessionExpiryInterval: sessionExpirySeconds }),
  }
}

function limitsOf({ properties }: IConnackPacket): ConnectionLimits {
  return {
    receiveMaximum: properties?.receiveMaximum || RECEIVE_MAXIMUM_DEFAULT,
    packetBytesMax: properties?.maximumPacketSize || PACKET_BYTES_LIMIT,
  }
}

// mqtt.js leaves Nagle's algorithm on, which would make each QoS 1 round trip wait for a delayed TCP ACK (44 ms).
function noDelay(mqtt: MqttClient): void {
  ;(mqtt.stream as { setNoDelay?: (on: boolean) => void }).setNoDelay?.(true)
}

class MqttConnection implements Connection {
  readonly limits: ConnectionLimits
  readonly isSessionPresent: boolean
  readonly #mqtt: MqttClient
  readonly #target: DialTarget
  readonly #events: ConnectionEvents
  readonly #unacknowledged = new Set<number>()
  readonly #withoutSubscriber = new Set<number>()
  #reason: Error | undefined
  #isOver = false

  constructor(mqtt: MqttClient, target: DialTarget, connack: IConnackPacket, events: ConnectionEvents) {
    this.limits = limitsOf(connack)
    this.isSessionPresent = connack.sessionPresent
    this.#mqtt = mqtt
    this.#target = target
    this.#events = events
    mqtt.on('disconnect', ({ reasonCode }) => {
      this.#reason ??= Object.assign(
        new Error(`the broker ended the connection (reason ${hex(reasonCode)})`),
        {
          code: reasonCode,
        },
      )
    })
    // publish() does not report the reason code 0x10: its callback receives mqtt.js's copy of the PUBLISH, not the
    // PUBACK.
    mqtt.on('packetreceive', (packet: Packet) => {
      if (packet.cmd === 'puback' && packet.reasonCode === NO_MATCHING_SUBSCRIBERS) {
        this.#withoutSubscriber.add(packet.messageId!)
      }
    })
  }

  publish({ topic, payload, properties }: Message, acknowledged: (reasonCode: number) => void): void {
    const options = {
      qos: 1 as const,
      ...(this.#target.protocolVersion === 5 ? { properties: toMqttProperties(properties) } : {}),
    }
    let messageId = 0
    this.#mqtt.publish(topic, payload as Buffer, options, (error) => {
      this.#unacknowledged.delete(messageId)
      const isWithoutSubscriber = this.#withoutSubscriber.delete(messageId)
      if (this.#isOver) return
      const code = (error as { code?: unknown } | null | undefined)?.code
      if (typeof code === 'number') acknowledged(code)
      else if (!error) acknowledged(isWithoutSubscriber ? NO_MATCHING_SUBSCRIBERS : 0)
    })
    messageId = this.#mqtt.getLastMessageId()
    this.#unacknowledged.add(messageId)
  }

  async subscribe(filter: string, qos: QoS): Promise<void> {
    let grants: ISubscriptionGrant[]
    try {
      grants = await this.#mqtt.subscribeAsync(filter, { qos })
    } catch (error) {
      throw subscribeError(this.#target, filter, error)
    }
    if (grants.some((grant) => grant.qos > 2)) throw subscribeError(this.#target, filter, undefined)
  }

  async unsubscribe(filter: string): Promise<void> {
    await this.#mqtt.unsubscribeAsync(filter)
  }

  /** Closes the connection without DISCONNECT; `onClose` follows. */
  breakOff(reason: Error): void {
    this.#reason ??= reason
    this.#mqtt.stream.destroy()
  }

  closed(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#mqtt.end(true)
    this.#events.onClose(this.#reason)
  }

  async close(endsSession: boolean): Promise<void> {
    if (this.#isOver) return
    this.#isOver = true
    // If messages stayed in flight, mqtt.js would wait indefinitely for their PUBACKs.
    for (const messageId of this.#unacknowledged) this.#mqtt.removeOutgoingMessage(messageId)
    const timeout = new AbortController()
    const ended = this.#mqtt.endAsync(false, this.#disconnect(endsSession)).catch(() => {})
    await Promise.race([ended, delay(CLOSE_TIMEOUT_MS, timeout.signal)])
    timeout.abort()
    this.#mqtt.stream.destroy()
  }

  receive(topic: string, payload: Uint8Array, packet: IPublishPacket): void {
    if (!this.#isOver) this.#events.onMessage({ topic, payload, properties: fromMqttProperties(packet) })
  }

  #disconnect(endsSession: boolean): Partial<IDisconnectPacket> {
    if (!endsSession || this.#target.sessionExpirySeconds === 0) return {}
    return { properties: { sessionExpiryInterval: 0 } }
  }
}

function hex(code: number | undefined): string {
  return `0x${(code ?? 0).toString(16).padStart(2, '0')}`
}

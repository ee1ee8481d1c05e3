// One MQTT connection of a check, over mqtt.js. It never reconnects, and reports what the broker answered.
import { connect, type IClientOptions, type IConnackPacket, type IPublishPacket, type MqttClient } from 'mqtt'
import { isTls, tlsOptions, type ProbeTarget } from './probe-target.ts'

/** A received message. */
export interface ReceivedMessage {
  readonly topic: string
  readonly payload: Buffer
  readonly packet: IPublishPacket
}

/** Options of one connection. */
export interface LinkOptions {
  /** Must differ from the identifier of every other client. */
  readonly clientId: string
  readonly timeoutMs: number
  /** How long the broker may take for a PUBACK or SUBACK, in milliseconds. @default 2000 */
  readonly ackMs?: number
  readonly will?: IClientOptions['will']
  /** Session Expiry Interval in seconds (MQTT 5). @default 0 */
  readonly sessionExpirySeconds?: number
  /** @default the target's */
  readonly mqttVersion?: 5 | '3.1.1'
  /** @default the target's */
  readonly keepAliveSeconds?: number
  /** Omits user name and password. @default false */
  readonly isAnonymous?: boolean
}

/** The broker did not accept a connection. */
export class DialFailure extends Error {
  override readonly name = 'DialFailure'
  /** The reason code of CONNACK; undefined if there was no CONNACK. */
  readonly reasonCode: number | undefined

  constructor(message: string, reasonCode: number | undefined, options?: { readonly cause?: unknown }) {
    super(message, options)
    this.reasonCode = reasonCode
  }
}

/** Result of a publish: the reason code of PUBACK, or how the connection ended. */
export interface Published {
  /** 0 and 0x10 mean success. On MQTT 3.1.1, the broker cannot report a refusal. */
  readonly reasonCode: number
}

const ACK_MS_DEFAULT = 2_000
const KEPT_MESSAGES_MAX = 1_000
const CLOSE_TIMEOUT_MS = 500
const NO_MATCHING_SUBSCRIBERS = 0x10

/** An accepted connection. */
export class ProbeLink {
  readonly connack: IConnackPacket
  readonly mqttVersion: 5 | '3.1.1'
  /** The latest received messages. */
  readonly messages: ReceivedMessage[] = []
  /** When CONNACK arrived, on the monotonic clock. */
  readonly openedAtMs = performance.now()
  /** When the connection ended, on the monotonic clock; undefined while it is open. */
  endedAtMs: number | undefined
  readonly #mqtt: MqttClient
  readonly #ackMs: number
  readonly #withoutSubscriber = new Set<number>()
  #arrived: (() => void)[] = []

  private constructor(
    mqtt: MqttClient,
    connack: IConnackPacket,
    mqttVersion: 5 | '3.1.1',
    { ackMs = ACK_MS_DEFAULT }: LinkOptions,
  ) {
    this.#mqtt = mqtt
    this.#ackMs = ackMs
    this.connack = connack
    this.mqttVersion = mqttVersion
    mqtt.on('close', () => {
      this.endedAtMs ??= performance.now()
      this.#wake()
    })
    mqtt.on('error', () => {})
    mqtt.on('packetreceive', (packet) => {
      if (packet.cmd === 'puback' && packet.reasonCode === NO_MATCHING_SUBSCRIBERS) {
        this.#withoutSubscriber.add(packet.messageId!)
      }
    })
  }

  /** Connects. @throws DialFailure, or the error of a file that cannot be read */
  static open(target: ProbeTarget, options: LinkOptions): Promise<ProbeLink> {
    const version = options.mqttVersion ?? target.mqttVersion
    const mqtt = connect(mqttOptions(target, options))
    return new Promise((resolve, reject) => {
      let isOver = false
      let link: ProbeLink | undefined
      const early: ReceivedMessage[] = []
      const fail = (error: DialFailure): void => {
        if (isOver) return
        isOver = true
        clearTimeout(timer)
        mqtt.end(true)
        reject(error)
      }
      const late = `no CONNACK within ${options.timeoutMs / 1_000} s`
      const timer = setTimeout(() => fail(new DialFailure(late, undefined)), options.timeoutMs)
      mqtt.on('message', (topic, payload, packet) => {
        const message = { topic, payload, packet }
        if (link === undefined) early.push(message)
        else link.#keep(message)
      })
      mqtt.on('error', (error) => {
        const { code } = error as { code?: unknown }
        fail(new DialFailure(error.message, typeof code === 'number' ? code : undefined, { cause: error }))
      })
      mqtt.on('close', () => fail(new DialFailure('the connection was closed without CONNACK', undefined)))
      mqtt.once('connect', (connack) => {
        if (isOver) return
        isOver = true
        clearTimeout(timer)
        link = new ProbeLink(mqtt, connack, version, options)
        for (const message of early) link.#keep(message)
        resolve(link)
      })
    })
  }

  get isOpen(): boolean {
    return this.endedAtMs === undefined
  }

  /** Publishes with QoS 1. @throws Error if there is no PUBACK in time, or if the connection ends before it */
  publish(
    topic: string,
    payload: string | Buffer,
    options: { readonly retain?: boolean; readonly properties?: object } = {},
  ): Promise<Published> {
    const { retain = false, properties } = options
    const sent = { qos: 1 as const, retain, ...(this.mqttVersion === 5 && properties ? { properties } : {}) }
    return this.#acknowledged('PUBACK', (resolve, reject) => {
      let messageId = 0
      this.#mqtt.publish(topic, payload, sent, (error) => {
        const code = (error as { code?: unknown } | null | undefined)?.code
        if (typeof code === 'number') resolve({ reasonCode: code })
        else if (error) reject(error)
        else {
          resolve({ reasonCode: this.#withoutSubscriber.delete(messageId) ? NO_MATCHING_SUBSCRIBERS : 0 })
        }
      })
      messageId = this.#mqtt.getLastMessageId()
    })
  }

  /** Subscribes with QoS 1; resolves with the code in SUBACK. @throws Error as `publish` does */
  subscribe(filter: string): Promise<number> {
    return this.#acknowledged('SUBACK', (resolve, reject) => {
      this.#mqtt.subscribe(filter, { qos: 1 }, (error, grants) => {
        const refused = (error as { packet?: { granted?: number[] } } | null)?.packet?.granted?.[0]
        const code = refused ?? grants?.[0]?.qos
        if (code !== undefined) resolve(code)
        else reject(error ?? new Error('The broker closed the connection.'))
      })
    })
  }

  /** Resolves with the first message that matches, or with undefined after `timeoutMs` or when the link ends. */
  async first(
    matches: (message: ReceivedMessage) => boolean,
    timeoutMs: number,
  ): Promise<ReceivedMessage | undefined> {
    const untilMs = performance.now() + timeoutMs
    for (;;) {
      const found = this.messages.find(matches)
      const leftMs = untilMs - performance.now()
      if (found !== undefined || leftMs <= 0 || !this.isOpen) return found
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs)
        this.#arrived.push(() => {
          clearTimeout(timer)
          resolve()
        })
      })
    }
  }

  /** Closes the connection and deletes its session on the broker. */
  endSession(): Promise<void> {
    return this.close({ properties: { sessionExpiryInterval: 0 } })
  }

  /** Ends the connection without DISCONNECT, so that the broker publishes the Will. */
  destroy(): void {
    this.endedAtMs ??= performance.now()
    this.#mqtt.stream.destroy()
    this.#mqtt.end(true)
  }

  /** Sends DISCONNECT and closes the connection. */
  async close(
    disconnect: { readonly properties?: { readonly sessionExpiryInterval: number } } = {},
  ): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise((resolve) => (timer = setTimeout(resolve, CLOSE_TIMEOUT_MS)))
    await Promise.race([this.#mqtt.endAsync(!this.isOpen, disconnect).catch(() => {}), late])
    clearTimeout(timer)
    this.#mqtt.stream.destroy()
  }

  // A broker that does not acknowledge a packet often answers nothing else on this connection, so the connection is
  // destroyed; a later check opens a new one.
  #acknowledged<Result>(
    packet: string,
    send: (resolve: (result: Result) => void, reject: (error: Error) => void) => void,
  ): Promise<Result> {
    return new Promise<Result>((resolve, reject) => {
      const ended = (): void => reject(new Error('The broker closed the connection.'))
      if (!this.isOpen) return ended()
      const timer = setTimeout(() => {
        reject(new Error(`The broker sent no ${packet} within ${this.#ackMs / 1_000} s.`))
        this.destroy()
      }, this.#ackMs)
      const settled = (): void => {
        clearTimeout(timer)
        this.#mqtt.off('close', ended)
      }
      this.#mqtt.once('close', ended)
      send(
        (result) => {
          settled()
          resolve(result)
        },
        (error) => {
          settled()
          reject(error)
        },
      )
    })
  }

  #keep(message: ReceivedMessage): void {
    this.messages.push(message)
    if (this.messages.length > KEPT_MESSAGES_MAX) this.messages.shift()
    this.#wake()
  }

  #wake(): void {
    for (const wake of this.#arrived.splice(0)) wake()
  }
}

function mqttOptions(target: ProbeTarget, options: LinkOptions): IClientOptions {
  const { url, username } = target
  const { will, sessionExpirySeconds = 0 } = options
  const version = options.mqttVersion ?? target.mqttVersion
  const password = target.password()
  const isWebSocket = url.protocol === 'ws:' || url.protocol === 'wss:'
  const login =
    options.isAnonymous === true
      ? {}
      : { ...(username === undefined ? {} : { username }), ...(password === undefined ? {} : { password }) }
  return {
    protocol: url.protocol.slice(0, -1) as 'mqtt' | 'mqtts' | 'ws' | 'wss',
    host: url.hostname.replace(/^\[(.*)\]$/, isWebSocket ? '[$1]' : '$1'),
    ...(url.port === '' ? {} : { port: Number(url.port) }),
    ...(isWebSocket ? { path: `${url.pathname}${url.search}` } : {}),
    ...(isTls(target) ? tlsOptions(target) : {}),
    ...login,
    protocolVersion: version === 5 ? 5 : 4,
    clientId: options.clientId,
    ...(version === 5
      ? { properties: { receiveMaximum: 1_000, sessionExpiryInterval: sessionExpirySeconds } }
      : {}),
    ...(will === undefined ? {} : { will }),
    connectTimeout: options.timeoutMs,
    keepalive: options.keepAliveSeconds ?? target.keepAliveSeconds,
    clean: true,
    reconnectPeriod: 0,
    resubscribe: false,
    queueQoSZero: false,
  }
}

// Holds the MQTT session: connects, comes back, subscribes, yields deliveries and carries our publishes.
import { setTimeout as sleep } from 'node:timers/promises'
import type { BrokerLimits } from './broker-limits.ts'
import { Connection, SilentEnd, type ConnectionListener } from './connection.ts'
import type { ConnectOptions } from './control-packets.ts'
import type { Delivery } from './delivery.ts'
import { dial, type ByteStream, type DialTarget } from './dial.ts'
import type { AckOrderKind } from './ack-order.ts'
import { Outbox, type PublishResult } from './outbox.ts'
import type { OutgoingMessage } from './publish-encoder.ts'
import { reconnectDelayMs, type ReconnectBounds } from './reconnect-delay.ts'
import { SessionRefusal } from './refusal.ts'
import { Rivalry } from './rivalry.ts'

/** What a session is made with. */
export interface SessionOptions extends DialTarget {
  readonly protocolVersion: 4 | 5
  /** Must be the same after a restart: the broker keeps our queue under it. */
  readonly clientId: string
  readonly username?: string | undefined
  /** Asked at every connection, so that a rotated password is used. @throws when it cannot be read. */
  readonly password: () => string | undefined
  readonly keepAliveSeconds: number
  readonly connectTimeoutMs: number
  readonly sessionExpirySeconds: number
  readonly receiveMaximum: number
  readonly reconnect: ReconnectBounds
  readonly ackOrder: AckOrderKind
  /** The topic filter of the requests. */
  readonly filter: string
  /** Filters that every connector subscribes for itself, also where `filter` is shared. */
  readonly ownFilters?: readonly string[]
  /** Name of the shared subscription; left out where this is the only connector. */
  readonly share?: string | undefined
  /** Bytes of the largest packet body that is kept whole; asked for every packet. */
  readonly frameBytesMax: () => number
  /** The Will for a connection that is born at this time (milliseconds since the epoch). */
  readonly will: (bornAtMs: number) => { readonly topic: string; readonly payload: string }
  /** @default Math.random */
  readonly random?: () => number
  /** How a byte stream to the broker is opened. @default TCP, TLS or WebSocket, as the URL says */
  readonly dial?: (target: DialTarget, signal: AbortSignal) => Promise<ByteStream>
}

/** Who is told about the life of the session. */
export interface SessionListener {
  delivered(delivery: Delivery): void
  /** Connected and subscribed. `isLost` = the broker forgot a session that we had: queued requests are gone. */
  ready(news: {
    readonly limits: BrokerLimits
    readonly bornAtMs: number
    readonly isLost: boolean
    readonly filter: string
  }): void
  /** The connection ended or could not be made; the next attempt is after `retryInMs`. */
  unavailable(news: { readonly error: Error; readonly retryInMs: number }): void
}

// The Will waits this long, so that a restart does not flap the status (MQTT 5 §3.1.3.2.2).
const WILL_DELAY_SECONDS = 5
// Session taken over (MQTT 5 §3.14.2.1): coming back at once would take it over in turn, for ever.
const TAKEN_OVER = 0x8e
const TAKEN_OVER_DELAY_MS = 30_000
// A connection that held this long starts the back-off afresh; one that breaks at once goes on with it.
const STABLE_AFTER_MS = 5_000

/** See the file's first line. One instance lives as long as the connector. */
export class MqttSession {
  readonly #options: SessionOptions
  readonly #listener: SessionListener
  readonly #outbox = new Outbox()
  readonly #stop = new AbortController()
  #connection: Connection | undefined
  #epoch = 0
  // Attempts since the last connection that held.
  #attempt = 0
  // When the present connection became ready.
  #readyAtMs: number | undefined
  readonly #rivalry = new Rivalry()
  #sharedFilter: string | undefined
  #isReady = false
  #isTaking = true
  // The broker's session holds our subscription, as far as this process knows. The first connection subscribes in any
  // case: it cannot know under which filter its predecessor did, and with Retain Handling 2 a repetition costs nothing.
  #isSubscribed = false
  // The broker forgot a session that we had; told once, with the next `ready`.
  #isLost = false
  #running: Promise<void> | undefined

  constructor(options: SessionOptions, listener: SessionListener) {
    this.#options = options
    this.#listener = listener
  }

  /** Connected, and the broker granted the subscription. */
  get isReady(): boolean {
    return this.#isReady
  }

  /** Deliveries of the live connection that wait for their acknowledgement. */
  get unacknowledged(): number {
    return this.#connection?.ackOrder.pending ?? 0
  }

  /** Our publishes that the broker has not acknowledged. */
  get unpublished(): number {
    return this.#outbox.pending
  }

  /** Begins to connect, and keeps at it until `close`. */
  start(): void {
    this.#running ??= this.#run()
  }

  /** Resolves when the broker has acknowledged, refused, or could never take the message. Never rejects. */
  publish(message: OutgoingMessage): Promise<PublishResult> {
    return new Promise((resolve) => this.#outbox.publish(message, resolve))
  }

  /**
   * Drain, first half: no new request is handed over. Where a shared subscription has other members they take
   * over; otherwise the subscription stays, and what comes meanwhile waits unacknowledged for our return.
   */
  async stopTaking(): Promise<void> {
    const filter = this.#sharedFilter
    // What came before UNSUBACK is ours: after a scale-down nobody else would get it.
    if (filter !== undefined && this.#isReady) await this.#connection?.unsubscribe(filter)
    this.#isTaking = false
  }

  /** Drain, second half: says goodbye and ends. Unacknowledged deliveries come again with the next start. */
  async close(): Promise<void> {
    this.#isTaking = false
    this.#isReady = false
    this.#stop.abort(new Error('The session was closed.'))
    const connection = this.#connection
    if (connection !== undefined) {
      connection.disconnect()
      const late = setTimeout(() => connection.destroy(new Error('The broker did not close in time.')), 500)
      await connection.closed
      clearTimeout(late)
    }
    this.#outbox.close()
    await this.#running
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      const error = await this.#connectOnce()
      if (signal.aborted) return
      const lastedMs = this.#readyAtMs === undefined ? undefined : performance.now() - this.#readyAtMs
      this.#readyAtMs = undefined
      if (lastedMs !== undefined && lastedMs >= STABLE_AFTER_MS) this.#attempt = 0
      const { error: explained, retryInMs } = this.#judge(error, lastedMs)
      this.#attempt += 1
      this.#listener.unavailable({ error: explained, retryInMs })
      // Rejects only when the session is closed, which the loop sees by itself.
      await sleep(retryInMs, undefined, { signal }).catch(() => {})
    }
  }

  // Why the connection ended, for a reader, and how long to stay away.
  #judge(error: Error, lastedMs: number | undefined): { readonly error: Error; readonly retryInMs: number } {
    // A publish that stays on its way may be what the broker hangs up on: the outbox finds out by connecting again.
    const isUnprovoked = error instanceof SilentEnd && !this.#outbox.isSuspicious
    const pauseMs = this.#rivalry.ended(lastedMs, isUnprovoked)
    // Longer would let the broker forget our queue.
    const pauseMaxMs = 500 * this.#options.sessionExpirySeconds
    if (error instanceof SessionRefusal) {
      if (error.reasonCode === TAKEN_OVER)
        return { error, retryInMs: Math.min(TAKEN_OVER_DELAY_MS, pauseMaxMs) }
    } else if (pauseMs === 0) {
      return { error, retryInMs: 0 }
    } else if (pauseMs !== undefined) {
      const suspicion = new Error(
        `${error.message} ${this.#rivalry.inARow} connections in a row ended soon after they were ready: does another connector use the client id "${this.#options.clientId}"? Give each its own \`name\`.`,
        { cause: error },
      )
      return { error: suspicion, retryInMs: Math.min(pauseMs, pauseMaxMs) }
    }
    const { reconnect, random = Math.random } = this.#options
    return { error, retryInMs: reconnectDelayMs(this.#attempt, reconnect, random) }
  }

  // Runs one connection from dialling to its end, and returns why it ended.
  async #connectOnce(): Promise<Error> {
    const { url, connectTimeoutMs } = this.#options
    const attempt = new AbortController()
    // Covers everything up to SUBACK; `#subscribe` turns it off.
    const late = setTimeout(
      () => attempt.abort(new Error(`No usable session with ${url} within ${connectTimeoutMs} ms.`)),
      connectTimeoutMs,
    )
    try {
      const password = this.#options.password()
      const signal = AbortSignal.any([this.#stop.signal, attempt.signal])
      const socket = await (this.#options.dial ?? dial)(this.#options, signal)
      if (this.#stop.signal.aborted) {
        socket.stream.destroy()
        throw this.#stop.signal.reason
      }
      const connection = this.#open(socket, password, () => clearTimeout(late))
      attempt.signal.addEventListener('abort', () => connection.destroy(attempt.signal.reason as Error))
      return await connection.closed
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error))
    } finally {
      clearTimeout(late)
      this.#connection = undefined
      this.#isReady = false
      this.#outbox.disconnected()
    }
  }

  #open(socket: ByteStream, password: string | undefined, subscribed: () => void): Connection {
    const options = this.#options
    const bornAtMs = Date.now()
    const listener: ConnectionListener = {
      connected: (connection, limits) => this.#connected(connection, limits, bornAtMs, subscribed),
      // During a drain nothing new is begun; unacknowledged, it comes again after the restart.
      delivered: (delivery) => {
        if (this.#isTaking) this.#listener.delivered(delivery)
        else delivery.release()
      },
      acknowledged: (packetId, reasonCode) => void this.#outbox.acknowledged(packetId, reasonCode),
    }
    this.#epoch += 1
    const connect: ConnectOptions = {
      protocolVersion: options.protocolVersion,
      clientId: options.clientId,
      username: options.username,
      password,
      keepAliveSeconds: options.keepAliveSeconds,
      sessionExpirySeconds: options.sessionExpirySeconds,
      receiveMaximum: options.receiveMaximum,
      will: { ...options.will(bornAtMs), delaySeconds: WILL_DELAY_SECONDS },
    }
    const { ackOrder, frameBytesMax } = options
    const connection = new Connection(
      socket,
      { epoch: this.#epoch, connect, ackOrder, frameBytesMax },
      listener,
    )
    this.#connection = connection
    return connection
  }

  // Synchronous up to the subscription: deliveries may follow CONNACK in the same segment.
  #connected(connection: Connection, limits: BrokerLimits, bornAtMs: number, subscribed: () => void): void {
    const { writer, protocolVersion } = connection
    this.#outbox.connected({ writer, protocolVersion, ...limits }, limits.sessionPresent)
    const isShared = this.#options.share !== undefined && limits.sharedSubscriptionAvailable
    if (!limits.sessionPresent) {
      this.#isLost ||= this.#isSubscribed
      this.#isSubscribed = false
    }
    const filter = isShared ? `$share/${this.#options.share}/${this.#options.filter}` : this.#options.filter
    this.#sharedFilter = isShared ? filter : undefined
    const ready = (): void => {
      subscribed()
      const isLost = this.#isLost
      this.#isLost = false
      this.#isSubscribed = true
      this.#isReady = true
      this.#readyAtMs = performance.now()
      this.#listener.ready({ limits, bornAtMs, isLost, filter })
    }
    if (this.#isSubscribed) return ready()
    // A predecessor that worked alone left its subscription in the session: we would get every request twice.
    const stale = isShared && limits.sessionPresent ? this.#options.filter : undefined
    this.#subscribe(connection, [filter, ...(this.#options.ownFilters ?? [])], stale).then(
      ready,
      (error: Error) => connection.destroy(error),
    )
  }

  async #subscribe(
    connection: Connection,
    filters: readonly string[],
    stale: string | undefined,
  ): Promise<void> {
    await connection.subscribe(filters)
    // Afterwards, so that nothing falls between the two.
    if (stale !== undefined) await connection.unsubscribe(stale)
  }
}

// The MQTT session: connects and reconnects, subscribes, passes on deliveries and sends our publishes.
import { setTimeout as sleep } from 'node:timers/promises'
import type { PublishResult } from '../step.ts'
import { AckTolerance } from './ack-tolerance.ts'
import type { BrokerLimits } from './broker-limits.ts'
import { Connection, SilentEnd, type ConnectionListener } from './connection.ts'
import type { ConnectOptions } from './control-encoder.ts'
import type { ReceivedDelivery } from './delivery.ts'
import { dial, type ByteStream } from './dial.ts'
import { Outbox } from './outbox.ts'
import { IDENTIFIERS } from './packet-identifiers.ts'
import type { OutgoingMessage } from './publish-encoder.ts'
import { Redelivery } from './redelivery.ts'
import { reconnectDelayMs } from './reconnect-delay.ts'
import { featureRefusal, SessionRefusal } from './refusal.ts'
import { Retention } from './retention.ts'
import { Rivalry } from './rivalry.ts'
import type { SessionListener, SessionOptions, SessionWarning } from './session-options.ts'
import {
  expiryLowered,
  heldBack,
  insistsOnOrder,
  notRetained,
  subscriptionRefused,
  unsubscribeRefused,
} from './session-warnings.ts'
import { Subscriptions } from './subscriptions.ts'
import { explainEnd } from './wrong-port.ts'

/** The error for a connection that we closed in order to reconnect at once. */
class Reconnection extends Error {
  constructor(reason: string) {
    super(`Reconnecting ${reason}.`)
  }
}

// The broker delays the Will, so that a restart does not set the status to offline for a moment (MQTT 5 §3.1.3.2.2).
const WILL_DELAY_SECONDS = 5
// Session taken over (MQTT 5 §3.14.2.1). Two clients that reconnected immediately would take over the session from
// each other forever.
const TAKEN_OVER = 0x8e
const TAKEN_OVER_DELAY_MS = 30_000
// Time limit for UNSUBACK: a broker that does not confirm UNSUBSCRIBE must not block a drain.
const UNSUBSCRIBE_TIMEOUT_MS = 900
// A connection that lasted this long resets the back-off.
const STABLE_AFTER_MS = 5_000

/** Owns the connections of one session, and everything that outlives them. Lives as long as the connector. */
export class MqttSession {
  readonly #options: SessionOptions
  readonly #listener: SessionListener
  readonly #outbox = new Outbox()
  readonly #subscriptions: Subscriptions
  readonly #tolerance: AckTolerance
  readonly #retention = new Retention()
  // How long the broker keeps the session, according to the last CONNACK.
  #sessionExpirySeconds: number
  readonly #stop = new AbortController()
  #connection: Connection | undefined
  #epoch = 0
  #bornAtMs = 0
  // Number of attempts since the last connection that lasted at least STABLE_AFTER_MS.
  #attempt = 0
  // Time at which the current connection became ready.
  #readyAtMs: number | undefined
  readonly #rivalry = new Rivalry()
  readonly #redelivery: Redelivery
  #isReady = false
  #isTaking = true
  // Whether the broker's session has our subscriptions, as far as this process knows.
  #isSubscribed = false
  // Whether the broker discarded an earlier session; reported once, with the next `ready`.
  #isLost = false
  #running: Promise<void> | undefined

  constructor(options: SessionOptions, listener: SessionListener) {
    this.#options = options
    this.#listener = listener
    this.#sessionExpirySeconds = options.sessionExpirySeconds
    const { filters, ownFilters = [], share } = options
    this.#redelivery = new Redelivery(options.redeliveryMaxMs)
    this.#subscriptions = new Subscriptions({
      filters,
      ownFilters,
      share,
      refused: ({ message }, isOwn) => this.#warn(subscriptionRefused(message, isOwn)),
      kept: ({ message }) => this.#warn(unsubscribeRefused(message)),
    })
    this.#tolerance = new AckTolerance({
      reconnect: () => this.#reconnect('to find out whether the broker ignores PUBACKs out of order'),
      insists: (symptom) => this.#warn(insistsOnOrder(options.url, symptom)),
    })
  }

  /** Whether the session is connected and the broker has granted the subscriptions. */
  get isReady(): boolean {
    return this.#isReady
  }

  /** Number of deliveries of the current connection that are not acknowledged yet. */
  get unacknowledged(): number {
    return this.#connection?.ackOrder.pending ?? 0
  }

  /** Number of our publishes that the broker has not acknowledged yet. */
  get unpublished(): number {
    return this.#outbox.pending
  }

  /** Connects, and reconnects until `close`. */
  start(): void {
    this.#running ??= this.#run()
  }

  /**
   * Publishes a message. Resolves when the broker has acknowledged or refused it, or when the broker cannot accept it.
   * Never rejects.
   */
  publish(message: OutgoingMessage): Promise<PublishResult> {
    return new Promise((resolve) => this.#outbox.publish(message, resolve))
  }

  /**
   * First half of a drain: no new request is passed on. With a shared subscription, the other members take over the
   * requests. Without one, the subscription stays, and the broker keeps new requests for the next start.
   */
  async stopTaking(): Promise<void> {
    // Requests that arrive before UNSUBACK are still passed on, because after a scale-down no other connector would
    // receive them.
    const stopped = this.#subscriptions.stop()
    if (this.#isReady) {
      const timer = new AbortController()
      const late = sleep(UNSUBSCRIBE_TIMEOUT_MS, undefined, { signal: timer.signal }).catch(() => {})
      await Promise.race([stopped, late])
      timer.abort()
    }
    this.#isTaking = false
    this.#tolerance.stop()
  }

  /**
   * Replaces the topic filters of the requests on the current connection; requests in flight are not affected.
   * Resolves when the broker has granted these filters, or the filters of a later call. If the session is
   * disconnected, the promise resolves only after the session has reconnected.
   * @throws SessionRefusal if the broker refused one of these filters; the session uses the other filters.
   */
  setFilters(filters: readonly string[]): Promise<void> {
    return this.#subscriptions.set(filters)
  }

  /**
   * Reconnects with a birth time later than `bornAtMs`, so that our messages look newer than those of an earlier
   * process.
   */
  beBornAfter(bornAtMs: number): void {
    this.#bornAtMs = Math.max(this.#bornAtMs, bornAtMs)
    this.#reconnect('because the clock is behind the last birth time of a connector with this name')
  }

  /** Second half of a drain: disconnects. Unacknowledged deliveries are redelivered after the next start. */
  async close(): Promise<void> {
    this.#isTaking = false
    this.#isReady = false
    const reason = new Error('The session was closed.')
    this.#stop.abort(reason)
    this.#connection?.disconnect(reason)
    await this.#connection?.closed
    this.#outbox.close()
    this.#subscriptions.close()
    this.#redelivery.close()
    await this.#running
  }

  #reconnect(reason: string): void {
    this.#connection?.disconnect(new Reconnection(reason))
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      const error = explainEnd(await this.#connectOnce(), this.#options.url)
      if (signal.aborted) return
      const lastedMs = this.#readyAtMs === undefined ? undefined : performance.now() - this.#readyAtMs
      this.#readyAtMs = undefined
      if (lastedMs !== undefined && lastedMs >= STABLE_AFTER_MS) this.#attempt = 0
      const { error: explained, retryInMs } = this.#judge(error, lastedMs)
      this.#attempt += 1
      this.#listener.unavailable({ error: explained, retryInMs })
      // `sleep` rejects only when the session is closed; the loop condition handles that.
      await sleep(retryInMs, undefined, { signal }).catch(() => {})
    }
  }

  // Returns the error to report, and how long to wait before reconnecting.
  #judge(error: Error, lastedMs: number | undefined): { readonly error: Error; readonly retryInMs: number } {
    // A publish that stays in flight may be the reason why the broker hangs up. If so, the outbox finds this
    // publish during the next connections.
    const isUnprovoked = error instanceof SilentEnd && !this.#outbox.isSuspicious
    if (error instanceof Reconnection || this.#retention.ended(error)) return { error, retryInMs: 0 }
    const pauseMs = this.#rivalry.ended(lastedMs, isUnprovoked)
    const pauseMaxMs = this.#pauseMaxMs
    if (error instanceof SessionRefusal) {
      if (error.reasonCode === TAKEN_OVER)
        return { error, retryInMs: Math.min(TAKEN_OVER_DELAY_MS, pauseMaxMs) }
    } else if (pauseMs === 0) {
      return { error, retryInMs: 0 }
    } else if (pauseMs !== undefined) {
      const suspicion = new Error(
        `${error.message} ${this.#rivalry.inARow} connections in a row ended soon after they had become ready. Another connector may be using the client id "${this.#options.clientId}": give each connector its own \`name\`.`,
        { cause: error },
      )
      return { error: suspicion, retryInMs: Math.min(pauseMs, pauseMaxMs) }
    }
    const { reconnect, random = Math.random } = this.#options
    return { error, retryInMs: reconnectDelayMs(this.#attempt, reconnect, random) }
  }

  // A longer pause would let the session expire. If the session expiry is 0, there is no session to lose, but
  // rival clients still need a pause.
  get #pauseMaxMs(): number {
    return this.#sessionExpirySeconds === 0 ? Number.POSITIVE_INFINITY : 500 * this.#sessionExpirySeconds
  }

  // Runs one connection from dialing to its end, and returns why it ended.
  async #connectOnce(): Promise<Error> {
    const { url, connectTimeoutMs } = this.#options
    const attempt = new AbortController()
    // Limits the time from here to SUBACK, which clears the timer.
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
      const reason = await connection.closed
      this.#tolerance.ended(connection.ackOrder, isByBroker(reason))
      return reason
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error))
    } finally {
      clearTimeout(late)
      this.#connection = undefined
      this.#isReady = false
      this.#redelivery.disconnected()
      this.#outbox.disconnected()
      this.#subscriptions.disconnected()
    }
  }

  #open(socket: ByteStream, password: string | undefined, subscribed: () => void): Connection {
    const options = this.#options
    // Each birth time is later than the previous one, even if the clock was set back.
    this.#bornAtMs = Math.max(Date.now(), this.#bornAtMs + 1)
    const bornAtMs = this.#bornAtMs
    const listener: ConnectionListener = {
      connected: (connection, limits) => this.#connected(connection, limits, bornAtMs, subscribed),
      delivered: (delivery) => this.#delivered(delivery),
      acknowledged: (packetId, reasonCode) => void this.#outbox.acknowledged(packetId, reasonCode),
    }
    this.#epoch += 1
    const { receiveMaximum, identifiers = IDENTIFIERS } = options
    const { count, distanceMax } = identifiers
    const connect: ConnectOptions = {
      protocolVersion: options.protocolVersion,
      clientId: options.clientId,
      username: options.username,
      password,
      keepAliveSeconds: options.keepAliveSeconds,
      sessionExpirySeconds: options.sessionExpirySeconds,
      // If a delivery cannot give up its identifier, we send no more PUBACKs. The Receive Maximum must be small
      // enough to make the broker stop delivering before it reuses that identifier.
      receiveMaximum:
        options.ackOrder === 'strict' ? receiveMaximum : Math.min(receiveMaximum, count - distanceMax),
      will:
        options.will === undefined
          ? undefined
          : {
              ...options.will(bornAtMs),
              retain: this.#retention.isInWill,
              delaySeconds: WILL_DELAY_SECONDS,
            },
    }
    const windowMax = options.protocolVersion === 5 ? connect.receiveMaximum : count
    const connection = new Connection(
      socket,
      {
        connect,
        ackOrder: {
          epoch: this.#epoch,
          holdMaxMs: this.#holdMaxMs,
          identifiers,
          keeper: options.keeper,
          redelivery: () => this.#redelivery.pending,
          heldBack: (delivery) => this.#warn(heldBack(options.url, delivery)),
          overtook: () => {
            this.#tolerance.overtook(connection.ackOrder, windowMax)
            connection.ping(() => this.#tolerance.answered())
          },
        },
        retainedFilters: options.retainedFilters,
        frameBytesMax: options.frameBytesMax,
      },
      listener,
    )
    this.#connection = connection
    return connection
  }

  get #holdMaxMs(): number {
    const { ackOrder, ackHoldMaxMs } = this.#options
    if (ackOrder === 'strict' || this.#tolerance.isStrict) return Number.POSITIVE_INFINITY
    return ackOrder === 'bounded' ? ackHoldMaxMs : 0
  }

  #delivered(delivery: ReceivedDelivery): void {
    if (this.#tolerance.isProbing && delivery.qos === 1) {
      this.#tolerance.redelivered(delivery.dup)
      this.#connection?.ackOrder.hold(this.#holdMaxMs)
    }
    // During a drain no new request is started. A redelivered request may already be running, and its reply must
    // not be lost.
    if (this.#isTaking || (delivery.dup && !this.#stop.signal.aborted)) this.#listener.delivered(delivery)
    else delivery.release()
  }

  // Runs synchronously until SUBSCRIBE is sent, because deliveries may follow CONNACK in the same segment.
  #connected(connection: Connection, limits: BrokerLimits, bornAtMs: number, subscribed: () => void): void {
    const { share } = this.#options
    const refusal = featureRefusal(limits, share, this.#subscriptions.names)
    if (refusal !== undefined) return connection.destroy(refusal)
    const { writer, protocolVersion } = connection
    const { sessionPresent } = limits
    const retainAvailable = this.#retention.connected(limits.retainAvailable)
    this.#outbox.connected({ writer, protocolVersion, ...limits, retainAvailable }, sessionPresent)
    this.#tolerance.connected(sessionPresent)
    this.#redelivery.connected(sessionPresent)
    this.#expires(limits.sessionExpirySeconds)
    connection.ackOrder.hold(this.#holdMaxMs)
    if (!sessionPresent) {
      this.#isLost ||= this.#isSubscribed
      this.#isSubscribed = false
    }
    const ready = (): void => {
      subscribed()
      const isLost = this.#isLost
      this.#isLost = false
      this.#isSubscribed = true
      this.#isReady = true
      this.#readyAtMs = performance.now()
      if (this.#options.will !== undefined && this.#retention.mustWarn())
        this.#warn(notRetained(this.#options.url))
      this.#listener.ready({ limits, bornAtMs, isLost, filters: this.#subscriptions.names })
    }
    const subscribing = this.#subscriptions.connected(connection, sessionPresent)
    if (subscribing === undefined) ready()
    else
      subscribing.then(
        (isDone) => isDone && ready(),
        (error: Error) => connection.destroy(error),
      )
  }

  // Each connection may reach a different node of a cluster, so the session expiry is checked on each connection,
  // but reported only if it has changed.
  #expires(seconds: number): void {
    const { url, sessionExpirySeconds: asked } = this.#options
    if (seconds < asked && seconds !== this.#sessionExpirySeconds)
      this.#warn(expiryLowered(url, seconds, asked))
    this.#sessionExpirySeconds = seconds
  }

  #warn(warning: SessionWarning): void {
    this.#listener.warned?.(warning)
  }
}

// Returns whether our packets may have made the broker end the connection: the broker gave no reason, or reported
// a protocol error.
function isByBroker(reason: Error): boolean {
  if (reason instanceof SessionRefusal) return reason.reasonCode >= 0x80 && reason.reasonCode <= 0x83
  const { code } = reason as { code?: string }
  return reason instanceof SilentEnd || code === 'ECONNRESET' || code === 'EPIPE'
}

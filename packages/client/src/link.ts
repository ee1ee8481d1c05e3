// Keeps one connection up: connects, subscribes to the replies, and reconnects with growing pauses.
import { addressOf } from './broker-refusal.ts'
import { delay } from './delay.ts'
import { InferwireError } from './error.ts'
import type { Connection, Dial, DialTarget, Message } from './transport.ts'

/** How a connection relates to the previous one. */
export interface UpFacts {
  /** Number of attempts since the previous connection. */
  readonly attempts: number
  /** Whether the broker kept the session of the previous connection, so that no reply was lost. */
  readonly isSessionPresent: boolean
}

/** The callbacks of a link. */
export interface LinkEvents {
  onMessage(message: Message): void
  /** Called after connecting and subscribing. */
  onUp(connection: Connection, facts: UpFacts): void
  /** Called when the connection and everything in flight on it is lost. The link is already reconnecting. */
  onDown(reason: Error | undefined): void
}

// Pauses between attempts. Each pause is a random time below a limit that doubles, so that the clients of a fleet
// do not all reconnect at once.
const PAUSE_FIRST_MS = 100
const PAUSE_MAX_MS = 5_000
// A connection must last this long to reset the pause.
const STABLE_AFTER_MS = 5_000

/** A connection that reconnects automatically. */
export class Link {
  readonly #dial: Dial
  readonly #target: DialTarget
  readonly #replyFilter: string
  readonly #events: LinkEvents
  readonly #stop = new AbortController()
  readonly #waiters = new Set<() => void>()
  #connection: Connection | undefined
  #dialing: Promise<void> | undefined
  #pauseMs = PAUSE_FIRST_MS
  // Whether the broker may have kept the session of the last connection.
  #hasSession = false
  // Whether the session was lost: an attempt since the last connection found no session, and created a new one.
  // Later attempts find only the new session.
  #isSessionLost = false
  #upAt = 0
  /** The reason why there is currently no connection. */
  lastError: Error | undefined
  /** Connections opened after the first one. */
  reconnects = 0

  constructor(dial: Dial, target: DialTarget, replyFilter: string, events: LinkEvents) {
    this.#dial = dial
    this.#target = target
    this.#replyFilter = replyFilter
    this.#events = events
  }

  /** Opens the first connection. @throws InferwireError `broker_unreachable` or `not_authorized` */
  async open(): Promise<void> {
    await this.#connect(1)
  }

  /** The current connection; undefined while disconnected. */
  get connection(): Connection | undefined {
    return this.#connection
  }

  /** Resolves with the connection as soon as there is one. @throws InferwireError after `timeoutMs`, or when closed */
  async whenUp(timeoutMs: number): Promise<Connection> {
    if (this.#connection === undefined && !this.#stop.signal.aborted) {
      const timeout = new AbortController()
      let up: (() => void) | undefined
      const isUp = new Promise<void>((resolve) => this.#waiters.add((up = resolve)))
      await Promise.race([isUp, delay(timeoutMs, timeout.signal)])
      timeout.abort()
      this.#waiters.delete(up!)
    }
    if (this.#connection !== undefined) return this.#connection
    if (this.#stop.signal.aborted) throw new InferwireError('cancelled', 'The client is closed.')
    throw new InferwireError('broker_unreachable', this.describeDown(), { cause: this.lastError })
  }

  /** Returns a sentence that explains why there is no connection. */
  describeDown(): string {
    const reason = this.lastError?.message
    return reason === undefined ? 'The connection to the broker is lost.' : reason
  }

  /** Ends the connection, or the attempts to connect. */
  async close(): Promise<void> {
    this.#stop.abort(new Error('the client is closed'))
    for (const wake of this.#waiters) wake()
    const connection = this.#connection
    this.#connection = undefined
    await connection?.close(true)
    await this.#dialing
  }

  async #connect(attempts: number): Promise<void> {
    let isEnded = false
    const connection = await this.#dial(
      { ...this.#target, isCleanStart: this.#target.isCleanStart && !this.#hasSession },
      {
        onMessage: (message) => this.#events.onMessage(message),
        onClose: (reason) => {
          isEnded = true
          this.#lost(reason)
        },
      },
      this.#stop.signal,
    )
    this.#isSessionLost ||= !connection.isSessionPresent
    try {
      await this.#subscribeReplies(connection)
    } catch (error) {
      await connection.close(false)
      throw error
    }
    // #lost() ignores a connection that ends before `#connection` is set below.
    if (isEnded)
      throw new InferwireError('broker_unreachable', 'The connection ended while it was being set up.')
    if (this.#stop.signal.aborted) {
      await connection.close(true)
      return
    }
    this.#upAt = performance.now()
    this.#hasSession = this.#target.sessionExpirySeconds > 0
    this.#connection = connection
    const isSessionPresent = !this.#isSessionLost
    this.#isSessionLost = false
    this.#events.onUp(connection, { attempts, isSessionPresent })
    for (const wake of this.#waiters) wake()
  }

  // Without a timeout, a broker that does not answer SUBSCRIBE would delay connect() until the keep alive expires.
  async #subscribeReplies(connection: Connection): Promise<void> {
    const { url, connectTimeoutMs } = this.#target
    const granted = new AbortController()
    const subscribed = connection.subscribe(this.#replyFilter, 1)
    try {
      const isTimely = await Promise.race([
        subscribed.then(() => true),
        delay(connectTimeoutMs, AbortSignal.any([granted.signal, this.#stop.signal])),
      ])
      if (isTimely !== undefined) return
    } finally {
      granted.abort()
    }
    subscribed.catch(() => {})
    const what = `The broker at ${addressOf(url)} did not answer SUBSCRIBE within ${connectTimeoutMs} ms.`
    throw new InferwireError('broker_unreachable', what)
  }

  #lost(reason: Error | undefined): void {
    // If the connection was lost before SUBACK, #connect() throws.
    if (this.#connection === undefined || this.#stop.signal.aborted) return
    this.#connection = undefined
    this.lastError = reason
    if (performance.now() - this.#upAt > STABLE_AFTER_MS) this.#pauseMs = PAUSE_FIRST_MS
    this.#events.onDown(reason)
    this.#dialing = this.#redial()
  }

  async #redial(): Promise<void> {
    const { signal } = this.#stop
    for (let attempts = 1; !signal.aborted; attempts++) {
      await delay(Math.random() * this.#pauseMs, signal)
      this.#pauseMs = Math.min(this.#pauseMs * 2, PAUSE_MAX_MS)
      if (signal.aborted) return
      try {
        await this.#connect(attempts)
        this.reconnects++
        return
      } catch (error) {
        this.lastError = error as Error
      }
    }
  }
}

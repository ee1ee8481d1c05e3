// undici's pool with two additions: a limit on the number of calls, and a way to end a call by closing its socket.
import type { Socket } from 'node:net'
import { buildConnector, Client, Pool, type Dispatcher } from 'undici'
import { ConnectionWatch } from './connection-watch.ts'

/** A call's undici options, and the exchange that records the call's connection. */
export interface PooledCall extends Dispatcher.DispatchOptions {
  readonly exchange: { connection: CallConnection | undefined }
}

/** The connection of one call in flight. */
export interface CallConnection {
  /** Whether the connection broke, so that a response delimited only by the connection's end is incomplete. */
  readonly isCutOff: boolean
  /** Whether the socket has nothing left to send. */
  readonly hasSentAll: boolean
  /** Marks the start of the call: subsequent bytes are its response. */
  sent(): void
  /** Closes the connection after a complete response, so that no later call uses it. */
  retire(): void
  /** Ends the call in flight and closes its socket. The call's `onResponseError` receives the error. */
  breakOff(error: Error): void
}

/** Connections to one origin. Code that dispatches a call must count it in `callsHeld`. */
export class HttpPool extends Pool {
  /** Maximum of `callsHeld`; the caller must not dispatch more calls. */
  readonly callsHeldMax: number
  /**
   * Number of calls that undici holds: calls in flight, and calls cancelled while they waited for a connection, because
   * undici cannot remove cancelled calls from its queue. Each call has at most one socket.
   */
  callsHeld = 0
  /** Whether the server has ever answered a call. */
  hasAnswered = false

  constructor(
    origin: string,
    callsHeldMax: number,
    connect: buildConnector.BuildOptions,
    options: Client.Options,
  ) {
    // undici 8 offers HTTP/2 in the handshake unless `allowH2: false` is set both here and in the options.
    const connector = buildConnector({ ...connect, allowH2: false })
    super(origin, {
      ...options,
      // callsHeldMax limits the connections: undici adds a client (one connection) only if all others are busy, or were
      // busy in this turn of the event loop. undici's own limit would queue calls, and a queued call cannot be
      // cancelled.
      connections: null,
      pipelining: 1,
      connect: connector,
      factory: (url) => new OneCallClient(url, { ...options, pipelining: 1 }, connector),
    })
    this.callsHeldMax = callsHeldMax
  }

  override dispatch(call: PooledCall, handler: Dispatcher.DispatchHandler): boolean {
    return super.dispatch(call, handler)
  }
}

class OneCallClient extends Client implements CallConnection {
  #socket: Socket | undefined
  #watch: ConnectionWatch | undefined

  constructor(url: URL, options: Client.Options, connector: buildConnector.connector) {
    super(url, {
      ...options,
      connect: (target, callback) => {
        connector(target, (...result) => {
          this.#socket = result[1] ?? undefined
          this.#watch = this.#socket && new ConnectionWatch(this.#socket)
          callback(...result)
        })
      },
    })
  }

  // The pool passes the options on unchanged, but may wrap the handler.
  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    ;(options as PooledCall).exchange.connection = this
    return super.dispatch(options, handler)
  }

  get isCutOff(): boolean {
    return this.#watch?.isCutOff ?? false
  }

  get hasSentAll(): boolean {
    return this.#socket?.writableLength === 0
  }

  sent(): void {
    this.#watch?.sent()
  }

  retire(): void {
    this.#socket?.destroy()
  }

  // undici's own abort would put the call back into the queue and reconnect for it.
  breakOff(error: Error): void {
    this.#socket?.destroy(error)
  }
}

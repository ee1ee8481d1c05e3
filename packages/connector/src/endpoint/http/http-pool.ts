// undici's pool with two additions: a bound on the calls that it holds, and a way to end a call by closing its socket.
import type { Socket } from 'node:net'
import { buildConnector, Client, Pool, type Dispatcher } from 'undici'
import { ConnectionWatch } from './connection-watch.ts'

/** One call: what undici needs to send it, and where to note the connection that carries it. */
export interface PooledCall extends Dispatcher.DispatchOptions {
  readonly exchange: { connection: CallConnection | undefined }
}

/** The connection of one running call. */
export interface CallConnection {
  /** The connection broke, so that an answer which only its end bounds is not whole. */
  readonly isCutOff: boolean
  /** The call goes out on the connection; what comes back from now on is its answer. */
  sent(): void
  /** Ends the running call, whose `onResponseError` gets this error, and its socket. */
  breakOff(error: Error): void
}

/** Connections to one origin. The code that dispatches a call counts it in `callsHeld`. */
export class HttpPool extends Pool {
  /** More calls than this must not be dispatched. */
  readonly callsHeldMax: number
  /**
   * Calls that undici still holds: running ones, and those that ended while their connection was being made (undici
   * cannot take a call back). Each has at most one socket.
   */
  callsHeld = 0

  constructor(
    origin: string,
    callsHeldMax: number,
    connect: buildConnector.BuildOptions,
    options: Client.Options,
  ) {
    // undici 8 offers HTTP/2 in the handshake unless this is set here as well as in the options.
    const connector = buildConnector({ ...connect, allowH2: false })
    super(origin, {
      ...options,
      // Bounded by callsHeldMax: a client is added only when all others are busy with a call, or were in this very
      // turn of the event loop. undici's own limit would queue calls that cannot be taken back.
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

  // The options arrive as they were given to the pool; the handler may be wrapped.
  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    ;(options as PooledCall).exchange.connection = this
    return super.dispatch(options, handler)
  }

  get isCutOff(): boolean {
    return this.#watch?.isCutOff ?? false
  }

  sent(): void {
    this.#watch?.sent()
  }

  // Not undici's abort: it puts the dead call back into the queue, and connects again for it.
  breakOff(error: Error): void {
    this.#socket?.destroy(error)
  }
}

// undici's pool with two things it lacks: a bound of the calls that it holds, and a way to end one on its socket.
import type { Socket } from 'node:net'
import type { buildConnector, Client, Dispatcher, Pool } from 'undici'
// Only these: the package's front would load fetch, WebSocket and caches as well, 10 MB and 40 ms.
import UndiciClient from 'undici/lib/dispatcher/client.js'
import UndiciPool from 'undici/lib/dispatcher/pool.js'

/** A call that is told which connection got it. */
export interface UpstreamHandler extends Dispatcher.DispatchHandler {
  connection: UpstreamConnection | undefined
}

/** The connection of one running call. */
export interface UpstreamConnection {
  /** Ends the running call, whose `onError` gets this error, and its socket. */
  breakOff(error: Error): void
}

// By the type of the front: the inner files have none that a package could publish.
const BasePool: typeof Pool = UndiciPool

/** Connections to one origin. Who dispatches counts its calls in `callsHeld`. */
export class UpstreamPool extends BasePool {
  /** More calls than this must not be dispatched. */
  readonly callsHeldMax: number
  /**
   * Calls that undici still holds: running ones, and those that nobody waits for any more while their connection
   * is being made (undici cannot take a call back). Each has at most one socket.
   */
  callsHeld = 0

  constructor(origin: string, callsHeldMax: number, options: Pool.Options) {
    super(origin, {
      ...options,
      // Bounded by callsHeldMax: a client is added only when all others are busy with a call, or were in this very
      // turn of the event loop. undici's own limit would queue what nobody could take back.
      connections: null,
      pipelining: 1,
      factory: (url, clientOptions) => new OneCallClient(url, clientOptions as PoolClientOptions),
    })
    this.callsHeldMax = callsHeldMax
  }
}

// The pool has made the connector of its `connect` options by then.
type PoolClientOptions = Client.Options & { readonly connect: buildConnector.connector }

class OneCallClient extends UndiciClient implements UpstreamConnection {
  #socket: Socket | undefined

  constructor(url: URL, options: PoolClientOptions) {
    super(url, {
      ...options,
      connect: (target, callback) => {
        options.connect(target, (...result) => {
          this.#socket = result[1] ?? undefined
          callback(...result)
        })
      },
    })
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    ;(handler as UpstreamHandler).connection = this
    return super.dispatch(options, handler)
  }

  // Not undici's abort: it puts the dead call back into the queue, and connects again for it.
  breakOff(error: Error): void {
    this.#socket?.destroy(error)
  }
}

// The HTTP/2 connection to one model server, with node:http2: how it is configured, replaced and closed.
import {
  connect,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type OutgoingHttpHeaders,
  type SecureClientSessionOptions,
} from 'node:http2'
import { Problem } from '@inferwire/protocol'
import type { TlsTrust } from '../../config/index.ts'

/** Options of `GrpcConnection`. */
export interface ConnectionTarget {
  /** Scheme, host and port of the model server. */
  readonly origin: string
  /** The `:authority` to send, if it differs from the host of `origin`. */
  readonly host: string | undefined
  /** For `https:`. */
  readonly trust: TlsTrust
  /** The name in the server's certificate, if it differs from the host of `origin`. */
  readonly serverName: string | undefined
}

/** A call that the connection can end. */
export interface OpenCall {
  cancel(): void
}

// How much of a response can be in flight before its receipt is confirmed. With the default of 64 KiB, a tensor of 600
// KB would be paused nine times.
const STREAM_WINDOW_BYTES = 1024 * 1024
const SESSION_WINDOW_BYTES = 16 * 1024 * 1024
// In megabytes. The gates and the byte budget limit the bodies; Node.js' default of 10 MB would abort large calls.
const SESSION_MEMORY_MAX_MB = 4096
// A slow model misses the short deadlines of clients. A missed deadline alone must not open a new connection.
const SILENT_MS = 2_000

/**
 * A connection that all calls share. The first call opens it. If it has ended, or the server has announced its end
 * (GOAWAY), the next call opens a new one.
 */
export class GrpcConnection {
  readonly #origin: string
  readonly #host: string | undefined
  readonly #options: SecureClientSessionOptions
  readonly #calls = new Map<OpenCall, Link>()
  #link: Link | undefined
  #isClosed = false
  #hasBeenReady = false
  /** Whether the server has ever answered a call. */
  hasAnswered = false
  readonly #idle: (() => void)[] = []

  constructor({ origin, host, trust, serverName }: ConnectionTarget) {
    this.#origin = origin
    this.#host = host
    this.#options = {
      settings: { initialWindowSize: STREAM_WINDOW_BYTES, enablePush: false },
      maxSessionMemory: SESSION_MEMORY_MAX_MB,
      ...trust,
      ...(serverName === undefined ? {} : { servername: serverName }),
    }
  }

  /** Whether the server has ever sent SETTINGS, its first frame. */
  get hasBeenReady(): boolean {
    return this.#hasBeenReady
  }

  /** Registers a call until `ended` is called; returns its link. @throws Problem after `close` or `destroy` */
  began(call: OpenCall): Link {
    if (this.#isClosed) throw connectionClosed()
    if (this.#link?.isUsable !== true) {
      this.#link = new Link(this.#origin, this.#options, this.#host, () => (this.#hasBeenReady = true))
    }
    this.#calls.set(call, this.#link)
    this.#link.began()
    return this.#link
  }

  /** Must be called once for each call that began. */
  ended(call: OpenCall): void {
    const link = this.#calls.get(call)!
    this.#calls.delete(call)
    link.ended()
    if (link !== this.#link && link.calls === 0) link.close()
    if (this.#calls.size === 0) for (const resolve of this.#idle.splice(0)) resolve()
  }

  /**
   * All further calls use a new connection if calls have waited for two seconds without an answer to any of them:
   * the old connection may be dead although TCP has not detected it yet. Calls in flight keep the old connection.
   */
  replaceSilent(link: Link): void {
    if (link.silentMs >= SILENT_MS) this.replace(link)
  }

  /** All further calls use a new connection. */
  replace(link: Link): void {
    if (link === this.#link) this.#link = undefined
  }

  /** Accepts no more calls, and closes the connection after the calls in flight. */
  async close(): Promise<void> {
    this.#isClosed = true
    if (this.#calls.size > 0) await new Promise<void>((resolve) => this.#idle.push(resolve))
    this.#link?.close()
  }

  /** Ends all calls, and closes the connection. */
  destroy(): Promise<void> {
    this.#isClosed = true
    for (const call of this.#calls.keys()) call.cancel()
    this.#link?.close()
    return Promise.resolve()
  }
}

/** The problem of a call on a connection that the connector has closed. */
export function connectionClosed(): Problem {
  return new Problem('upstream_unreachable', 'The connection to the model server was closed.')
}

/** One HTTP/2 session, from its connection to its end. */
export class Link {
  #calls = 0
  // The time that calls have waited since the last answer, and the start of the wait that is not yet counted.
  #waitedMs = 0
  #waitingSinceMs = 0
  readonly #session: ClientHttp2Session
  readonly #host: string | undefined
  #isReady = false
  #isEnding = false
  #error: Error | undefined

  constructor(
    origin: string,
    options: SecureClientSessionOptions,
    host: string | undefined,
    becameReady: () => void,
  ) {
    this.#host = host
    const session = connect(origin, options)
    this.#session = session
    session.on('error', (error) => (this.#error ??= error))
    session.once('connect', () => session.setLocalWindowSize(SESSION_WINDOW_BYTES))
    session.once('remoteSettings', () => {
      this.#isReady = true
      becameReady()
    })
    // Streams in flight continue; Node.js closes the session when they have ended.
    session.once('goaway', () => (this.#isEnding = true))
  }

  /** Number of calls in flight. */
  get calls(): number {
    return this.#calls
  }

  /** For how long there were calls in flight since the server last sent a part of an answer. */
  get silentMs(): number {
    return this.#waitedMs + (this.#calls > 0 ? performance.now() - this.#waitingSinceMs : 0)
  }

  /** A call began. */
  began(): void {
    if (this.#calls === 0) this.#waitingSinceMs = performance.now()
    this.#calls += 1
  }

  /** The server sent a part of an answer. */
  answered(): void {
    this.#waitedMs = 0
    this.#waitingSinceMs = performance.now()
  }

  /** A call ended. */
  ended(): void {
    this.#waitedMs = this.#calls === 1 ? this.silentMs : this.#waitedMs
    this.#calls -= 1
  }

  /** Whether a new call can begin. The call may first have to wait for the connection. */
  get isUsable(): boolean {
    return !this.#isEnding && !this.#session.closed && !this.#session.destroyed
  }

  /**
   * Whether the server has sent SETTINGS, its first frame; if so, it speaks HTTP/2 and may have executed calls.
   */
  get isReady(): boolean {
    return this.#isReady
  }

  /** The error that ended the session. */
  get error(): Error | undefined {
    return this.#error
  }

  /** Opens a stream; the `:authority` is added. @throws if the session ended at this moment */
  request(headers: OutgoingHttpHeaders): ClientHttp2Stream {
    if (this.#host !== undefined) headers[':authority'] = this.#host
    return this.#session.request(headers)
  }

  /** Closes the session at once. */
  close(): void {
    this.#session.destroy()
  }
}

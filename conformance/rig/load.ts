// The load generator: many MQTT clients publish numbered requests, in an open loop at a fixed rate or in a closed loop
// with a limit on unanswered requests. The caller creates the requests and checks the answers.
import { RawClient, type RawClientListener, type RawClientOptions, type RawReply } from './raw-client.ts'
import type { PublishParts } from './wire.ts'

/** A source of requests. */
export interface Stream {
  /** Requests per second; 0 = none. May be changed at any time. */
  readonly perSecond: number
  /** Makes the loop closed: no request is sent while `unanswered` is at least `max`. @default an open loop */
  readonly inFlight?: { readonly max: number; unanswered(): number }
  /** Number of requests that are sent together. @default 1 */
  readonly batch?: number
  /** Publishes the request with this number. */
  send(number: number): void
}

/** Options of a load. */
export interface LoadOptions {
  readonly port: number
  /** Host of the broker. @default 127.0.0.1 */
  readonly host?: string
  /** Names of the clients: the `{client}` level of their topics. */
  readonly clients: readonly string[]
  /** Client identifiers and credentials. @default the name as the client identifier, no credentials */
  readonly login?: Pick<RawClientOptions, 'clientId' | 'username' | 'password'>
  readonly streams: readonly Stream[]
  /** All request numbers are below this number. @default no limit */
  readonly requestsMax?: number
  readonly listener: LoadListener
}

/** Receives the events of the requests. The numbers are those that `send` was called with. */
export interface LoadListener extends Omit<RawClientListener, 'replied'> {
  replied(client: string, reply: RawReply): void
}

const TICK_MS = 2
const CONNECT_TOGETHER_MAX = 250
// Maximum number of requests that a closed loop catches up on after an outage, so that its rate remains limited.
const CATCH_UP_MAX = 100

/** Paces the requests, and counts the unanswered ones. */
export class Load {
  readonly #options: LoadOptions
  readonly #clients = new Map<string, RawClient>()
  readonly #dueMs: number[]
  readonly #lags: number[] = []
  #timer: NodeJS.Timeout | undefined
  #sent = 0
  #answered = 0
  #lastAnswerAtMs = 0

  constructor(options: LoadOptions) {
    this.#options = options
    this.#dueMs = options.streams.map(() => 0)
  }

  /** Connects the clients; resolves when all are connected and subscribed. */
  async connect(): Promise<void> {
    const { clients, port, host = '127.0.0.1', login, listener } = this.#options
    for (const name of new Set(clients)) {
      const client = new RawClient(
        { port, host, name, ...login },
        {
          replied: (reply) => listener.replied(name, reply),
          acknowledged: (number, reasonCode) => listener.acknowledged(number, reasonCode),
          abandoned: (number) => listener.abandoned(number),
        },
      )
      this.#clients.set(name, client)
    }
    // Connects the clients in groups, so that none times out before its CONNACK. A client that timed out would
    // reconnect to a session without a subscription.
    const all = [...this.#clients.values()]
    for (let at = 0; at < all.length; at += CONNECT_TOGETHER_MAX) {
      await Promise.all(all.slice(at, at + CONNECT_TOGETHER_MAX).map((client) => client.start()))
    }
  }

  /** Starts to send requests; ends at `stop` or `requestsMax`. */
  begin(): void {
    // The starts are spread over the first interval, so that streams with the same rate do not send together.
    const { streams } = this.#options
    for (const [index, { perSecond }] of streams.entries()) {
      this.#dueMs[index] = performance.now() + (1000 / perSecond) * (index / streams.length)
    }
    this.#timer = setInterval(() => this.#tick(), TICK_MS)
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  /** Sends one request, or one batch, of a stream now. */
  send(streamIndex: number): void {
    const stream = this.#options.streams[streamIndex]!
    for (let count = 0; count < (stream.batch ?? 1); count++) stream.send(this.#sent++)
  }

  publish(client: string, number: number, parts: Omit<PublishParts, 'packetId'>): void {
    this.#clients.get(client)!.publish(number, parts)
  }

  /** Counts an answered request. The caller must call this only for the first answer to each request. */
  answer(): void {
    this.#answered += 1
    this.#lastAnswerAtMs = performance.now()
  }

  /** Number of requests so far, which is also the number of the next request. */
  get sent(): number {
    return this.#sent
  }

  get answered(): number {
    return this.#answered
  }

  get unanswered(): number {
    return this.#sent - this.#answered
  }

  get isDone(): boolean {
    return this.#sent >= (this.#options.requestsMax ?? Number.POSITIVE_INFINITY)
  }

  /** Total number of connections that all clients have made. */
  get connections(): number {
    return this.#sum((client) => client.connections)
  }

  /** Number of publishes that the broker has not acknowledged. */
  get unacknowledged(): number {
    return this.#sum((client) => client.unacknowledged)
  }

  /**
   * 99th percentile of the delay with which requests are sent, in milliseconds. If the delay exceeds a few
   * milliseconds, the harness is too slow.
   */
  get lagP99Ms(): number {
    return percentile(this.#lags, 0.99)
  }

  /** Resolves when all requests are answered, `isOver` returns true, or no answer has arrived for `quietMs`. */
  async settle(quietMs: number, isOver: (quietForMs: number) => boolean = () => false): Promise<void> {
    const startedAtMs = performance.now()
    while (this.unanswered > 0) {
      const quietForMs = performance.now() - Math.max(startedAtMs, this.#lastAnswerAtMs)
      if (quietForMs > quietMs || isOver(quietForMs)) return
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }

  close(): void {
    this.stop()
    for (const client of this.#clients.values()) client.close()
  }

  #tick(): void {
    const now = performance.now()
    for (const [index, stream] of this.#options.streams.entries()) {
      if (stream.perSecond <= 0 || !Number.isFinite(this.#dueMs[index]!)) {
        this.#dueMs[index] = now
        continue
      }
      this.#sendDue(index, stream, now)
    }
    if (this.isDone) this.stop()
  }

  #sendDue(index: number, stream: Stream, now: number): void {
    const { inFlight, batch = 1 } = stream
    while (this.#dueMs[index]! <= now && !this.isDone) {
      if (inFlight !== undefined && inFlight.unanswered() >= inFlight.max) {
        const earliestMs = now - (CATCH_UP_MAX * 1000) / stream.perSecond
        this.#dueMs[index] = Math.max(this.#dueMs[index]!, earliestMs)
        return
      }
      this.#lags.push(now - this.#dueMs[index]!)
      this.#dueMs[index]! += (1000 * batch) / stream.perSecond
      this.send(index)
    }
  }

  #sum(count: (client: RawClient) => number): number {
    let sum = 0
    for (const client of this.#clients.values()) sum += count(client)
    return sum
  }
}

/** Returns the quantile for `share` (0.99: the 99th percentile); 0 if there are no values. */
export function percentile(values: readonly number[], share: number): number {
  if (values.length === 0) return 0
  const sorted = Float64Array.from(values).sort()
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!
}

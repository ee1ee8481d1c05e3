// The requests in flight of one client: matches replies to them, and resends what a broken connection may have lost.
import { InferwireError } from './error.ts'
import { Link, type UpFacts } from './link.ts'
import type { RetainedOptions, RetainedSource } from './models.ts'
import { RETAINED_TIMEOUT_DEFAULT_MS } from './models.ts'
import { milliseconds, toHex, type Settings } from './options.ts'
import { replyFilterOf } from './request-spec.ts'
import { PendingRequest, type ReplyReceiver, type RequestSpec } from './request.ts'
import { SendWindow } from './send-window.ts'
import type { Connection, Dial, Message } from './transport.ts'

/** Counters of a client since it connected. */
export interface ClientStats {
  /** Requests currently waiting for their reply, including open streams. */
  readonly inFlight: number
  /** Received messages that match no waiting request: late, repeated, or meant for another client. */
  readonly ignoredReplies: number
  /** Connections opened after the first one. */
  readonly reconnects: number
}

const PACKET_TOO_LARGE = 0x95

/** The connection of a client, and all requests that wait for a reply. */
export class Traffic {
  readonly #settings: Settings
  readonly #link: Link
  readonly #window: SendWindow
  readonly #waiting = new Map<string, PendingRequest>()
  readonly #retainedListeners = new Set<(message: Message) => void>()
  readonly #retainedPrefixes: readonly string[]
  #ignoredReplies = 0
  #isClosed = false

  constructor(settings: Settings, instance: string, dial: Dial) {
    this.#settings = settings
    this.#retainedPrefixes = [settings.topics.card(''), settings.topics.status('')]
    this.#window = new SendWindow(settings.target.protocolVersion)
    this.#link = new Link(dial, settings.target, replyFilterOf(settings, instance), {
      onMessage: (message) => this.#receive(message),
      onUp: (connection, facts) => this.#resume(connection, facts),
      onDown: (reason) => this.#suspend(reason),
    })
  }

  /** Connects. @throws InferwireError `broker_unreachable` or `not_authorized` */
  async open(): Promise<void> {
    await this.#link.open()
  }

  get isConnected(): boolean {
    return this.#link.connection !== undefined
  }

  get stats(): ClientStats {
    return {
      inFlight: this.#waiting.size,
      ignoredReplies: this.#ignoredReplies,
      reconnects: this.#link.reconnects,
    }
  }

  /** Sends a request; `receiver` receives its outcome. @throws InferwireError if it cannot be accepted */
  send(spec: RequestSpec, receiver: ReplyReceiver): PendingRequest {
    this.#refuse(spec.model, spec.signal)
    const request = new PendingRequest(
      spec,
      {
        transmit: (pending) => this.#window.add(pending),
        cancel: (pending) => this.#window.cancel(pending),
        forget: (pending) => this.#forget(pending),
        arrived: (pending) => this.#window.delete(pending),
        describeDown: () => (this.isConnected ? undefined : this.#link.describeDown()),
      },
      receiver,
    )
    // The request is registered before it is published, because its reply may arrive before the PUBACK.
    this.#waiting.set(spec.id, request)
    this.#window.add(request)
    return request
  }

  /** Returns a source of retained messages. @throws TypeError for invalid options */
  retained(filter: string, options: RetainedOptions): RetainedSource {
    const timeoutMs = milliseconds('timeoutMs', options.timeoutMs ?? RETAINED_TIMEOUT_DEFAULT_MS)
    if (options.settleMs !== undefined) milliseconds('settleMs', options.settleMs)
    const prefix = filter.endsWith('/+') ? filter.slice(0, -1) : undefined
    return {
      subscribe: async (onMessage) => {
        const connection = await this.#link.whenUp(timeoutMs)
        const listen = (message: Message): void => {
          const isMatch = prefix === undefined ? message.topic === filter : message.topic.startsWith(prefix)
          if (isMatch) onMessage(message)
        }
        this.#retainedListeners.add(listen)
        try {
          await connection.subscribe(filter, 1)
        } catch (error) {
          this.#retainedListeners.delete(listen)
          throw error
        }
        return async () => {
          this.#retainedListeners.delete(listen)
          // An error means that the connection is closed, and then its subscriptions no longer exist.
          await connection.unsubscribe(filter).catch(() => {})
        }
      },
    }
  }

  /** Disconnects. Requests still in flight are rejected with `cancelled`; the models of open streams are stopped. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#window.clear()
    for (const request of this.#waiting.values()) {
      const { model } = request.spec
      request.close(
        new InferwireError('cancelled', 'The client was closed before the reply arrived.', { model }),
      )
    }
    this.#window.close()
    await this.#link.close()
  }

  #refuse(model: string, signal: AbortSignal | undefined): void {
    if (this.#isClosed) throw new InferwireError('cancelled', 'The client is closed.', { model })
    if (signal?.aborted === true) {
      const cause: unknown = signal.reason
      throw new InferwireError('cancelled', 'The request was cancelled before it was sent.', { model, cause })
    }
    const { inFlightMax } = this.#settings
    if (this.#waiting.size >= inFlightMax) {
      throw new InferwireError(
        'overloaded',
        `This client already has ${inFlightMax} requests in flight, the limit set by inFlightMax.`,
        { model },
      )
    }
  }

  #forget(request: PendingRequest): void {
    this.#waiting.delete(request.spec.id)
    this.#window.delete(request)
  }

  #receive(message: Message): void {
    if (this.#retainedPrefixes.some((prefix) => message.topic.startsWith(prefix))) {
      for (const listen of this.#retainedListeners) listen(message)
      return
    }
    const request = this.#waiting.get(message.topic.slice(message.topic.lastIndexOf('/') + 1))
    if (request === undefined || !isReplyTo(request, message)) this.#ignoredReplies++
    else request.answered(message)
  }

  // Requests and replies in flight may be lost, even if the session was kept. All unanswered requests are sent again.
  #resume(connection: Connection, { attempts, isSessionPresent }: UpFacts): void {
    this.#window.open(connection)
    for (const request of this.#waiting.values()) {
      // More than one attempt indicates a broker outage, so no request is suspected of having broken the connection.
      if (attempts > 1) request.cuts = 0
      request.resume(isSessionPresent)
    }
  }

  #suspend(reason: Error | undefined): void {
    this.#window.close()
    const waiting = [...this.#waiting.values()]
    const suspect = largest(waiting.filter(({ isUnacknowledged }) => isUnacknowledged))
    const mayKeepSession = this.#settings.target.sessionExpirySeconds > 0
    for (const request of waiting) request.connectionLost(mayKeepSession)
    if (suspect === undefined) return
    suspect.cuts++
    if ((reason as { code?: unknown } | undefined)?.code !== PACKET_TOO_LARGE) return
    const { model, payload } = suspect.spec
    suspect.fail(
      new InferwireError(
        'payload_too_large',
        `The request to model "${model}" (${payload.length} bytes) is larger than the broker's maximum packet size.`,
        { model },
      ),
    )
  }
}

// The topic identifies one request of one client. Correlation Data must match too, unless a bridge removed it.
function isReplyTo({ spec }: PendingRequest, { topic, properties }: Message): boolean {
  const { correlationData } = properties
  return spec.replyTopic === topic && (correlationData === undefined || toHex(correlationData) === spec.id)
}

function largest(requests: readonly PendingRequest[]): PendingRequest | undefined {
  return requests.reduce<PendingRequest | undefined>(
    (found, request) =>
      found === undefined || request.spec.payload.length > found.spec.payload.length ? request : found,
    undefined,
  )
}

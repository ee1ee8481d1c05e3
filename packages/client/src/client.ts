// The client: sends requests, matches replies to them, and resends requests that a broken connection may have lost.
import { isModelName, type ConnectorStatus, type ReceivedCard } from '@inferwire/protocol'
import type { RequestBody } from './body.ts'
import { InferwireError } from './error.ts'
import { Link } from './link.ts'
import { collectCards, collectStatuses, RETAINED_TIMEOUT_DEFAULT_MS } from './models.ts'
import type { ModelsOptions, RetainedOptions, RetainedSource } from './models.ts'
import { milliseconds, toHex, type InferOptions, type Settings } from './options.ts'
import type { Reply } from './reply.ts'
import { randomInstance, replyFilterOf, toRequestSpec } from './request-spec.ts'
import { PendingRequest } from './request.ts'
import { SendWindow } from './send-window.ts'
import type { Connection, Dial, Message } from './transport.ts'

/** Counters of a client since it connected. */
export interface ClientStats {
  /** Requests currently waiting for their reply. */
  readonly inFlight: number
  /** Received messages that match no waiting request: late, repeated, or meant for another client. */
  readonly ignoredReplies: number
  /** Connections opened after the first one. */
  readonly reconnects: number
}

const PACKET_TOO_LARGE = 0x95

/** A client for the models behind a broker. Created by `connect()`. */
export class Client {
  /** The `{client}` level of the client's topics. */
  readonly identity: string
  readonly #settings: Settings
  readonly #instance = randomInstance()
  readonly #link: Link
  readonly #window: SendWindow
  readonly #waiting = new Map<string, PendingRequest>()
  readonly #retainedListeners = new Set<(message: Message) => void>()
  readonly #retainedPrefixes: readonly string[]
  #ignoredReplies = 0
  #closing: Promise<void> | undefined

  private constructor(settings: Settings, dial: Dial) {
    this.identity = settings.identity
    this.#settings = settings
    this.#retainedPrefixes = [settings.topics.card(''), settings.topics.status('')]
    this.#window = new SendWindow(settings.target.protocolVersion)
    this.#link = new Link(dial, settings.target, replyFilterOf(settings, this.#instance), {
      onMessage: (message) => this.#receive(message),
      onUp: (connection, attempts) => this.#resume(connection, attempts),
      onDown: (reason) => this.#suspend(reason),
    })
  }

  /** Connects. @throws InferwireError `broker_unreachable` or `not_authorized` */
  static async open(settings: Settings, dial: Dial): Promise<Client> {
    const client = new Client(settings, dial)
    await client.#link.open()
    return client
  }

  /** Whether the client is connected now. Requests made while it is disconnected wait for the next connection. */
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

  /**
   * Sends a request to a model and waits for its reply. The body is the one you would POST to the model server.
   * The request may be executed more than once if the broker or the connector crashes. It ends in a reply, an error
   * or `deadline_exceeded`.
   * @throws InferwireError for an error reply, the deadline, an abort, or a refusal by the broker
   */
  async infer(model: string, body?: RequestBody, options: InferOptions = {}): Promise<Reply> {
    const spec = toRequestSpec(this.#settings, this.#instance, model, body, options)
    this.#refuse(spec.model, options.signal)
    const request = new PendingRequest(spec, {
      transmit: (pending) => this.#window.add(pending),
      cancel: (pending) => this.#window.cancel(pending),
      forget: (pending) => this.#forget(pending),
      describeDown: () => (this.isConnected ? undefined : this.#link.describeDown()),
    })
    // The request is registered before it is published, because its reply may arrive before the PUBACK.
    this.#waiting.set(spec.id, request)
    this.#window.add(request)
    return await request.reply
  }

  /**
   * Makes a V1 prediction: takes instances, returns predictions.
   * @throws InferwireError as `infer()`, and `upstream_invalid_response` if the reply contains no predictions
   */
  async predict<Prediction = unknown>(
    model: string,
    instances: readonly unknown[],
    options: Omit<InferOptions, 'operation' | 'contentType'> = {},
  ): Promise<Prediction[]> {
    const reply = await this.infer(model, { instances }, { ...options, operation: 'predict' })
    const predictions = (reply.json() as { predictions?: unknown } | null)?.predictions
    if (Array.isArray(predictions)) return predictions as Prediction[]
    throw new InferwireError(
      'upstream_invalid_response',
      `The reply of model "${model}" has no list "predictions".`,
      { model, body: reply.body, retryable: false },
    )
  }

  /**
   * Returns the retained cards that this client may read, sorted by name; messages that are not cards are skipped.
   * @throws InferwireError without a connection, TypeError for invalid options
   */
  async models(options: ModelsOptions = {}): Promise<ReceivedCard[]> {
    return await collectCards(this.#retained(this.#settings.topics.card('+'), options), options)
  }

  /**
   * Returns all connectors' retained statuses, sorted by name. A card remains on the broker while its connector is
   * offline; the statuses contain the models that are available now.
   * @throws InferwireError without a connection or the right to read them, TypeError for invalid options
   */
  async connectors(options: RetainedOptions = {}): Promise<ConnectorStatus[]> {
    return await collectStatuses(this.#retained(this.#settings.topics.statusFilter, options), options)
  }

  /** Returns the card of one model, or undefined if none is retained. @throws InferwireError without a connection */
  async model(name: string, options: ModelsOptions = {}): Promise<ReceivedCard | undefined> {
    // A wildcard would match the card of any model.
    if (!isModelName(name)) return undefined
    const source = this.#retained(this.#settings.topics.card(name), options)
    const [card] = await collectCards(source, options, (cards) => cards.size > 0)
    return card
  }

  /** Disconnects. Requests still in flight are rejected with `cancelled`. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close())
  }

  async #close(): Promise<void> {
    this.#window.close()
    for (const request of this.#waiting.values()) {
      const { model } = request.spec
      request.fail(
        new InferwireError('cancelled', 'The client was closed before the reply arrived.', { model }),
      )
    }
    await this.#link.close()
  }

  #refuse(model: string, signal: AbortSignal | undefined): void {
    if (this.#closing !== undefined) throw new InferwireError('cancelled', 'The client is closed.', { model })
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

  // The session ended with the connection, so requests and replies in flight may be lost. All requests are sent again.
  #resume(connection: Connection, attempts: number): void {
    this.#window.open(connection)
    for (const request of this.#waiting.values()) {
      // More than one attempt indicates a broker outage, so no request is suspected of having broken the connection.
      if (attempts > 1) request.cuts = 0
      request.resume()
    }
  }

  #suspend(reason: Error | undefined): void {
    this.#window.close()
    const waiting = [...this.#waiting.values()]
    const suspect = largest(waiting.filter(({ isUnacknowledged }) => isUnacknowledged))
    for (const request of waiting) request.connectionLost()
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

  #retained(filter: string, options: RetainedOptions): RetainedSource {
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
          // If the connection is closed, its subscriptions no longer exist.
          await connection.unsubscribe(filter).catch(() => {})
        }
      },
    }
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

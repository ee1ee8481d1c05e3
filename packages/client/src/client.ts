// The client: asks models, matches replies to their requests, and repeats what a broken connection may have lost.
import { isModelName, type ReceivedCard } from '@inferwire/protocol'
import type { RequestBody } from './body.ts'
import { InferwireError } from './error.ts'
import { Link } from './link.ts'
import { collectCards, MODELS_TIMEOUT_DEFAULT_MS, type CardSource, type ModelsOptions } from './models.ts'
import { milliseconds, toHex, type InferOptions, type Settings } from './options.ts'
import type { Reply } from './reply.ts'
import { randomInstance, replyFilterOf, toRequestSpec } from './request-spec.ts'
import { PendingRequest } from './request.ts'
import { SendWindow } from './send-window.ts'
import type { Connection, Dial, Message } from './transport.ts'

/** What a client has counted since it connected. */
export interface ClientStats {
  /** Requests that wait for their reply now. */
  readonly inFlight: number
  /** Replies that nobody waits for: late, repeated, or not ours. */
  readonly ignoredReplies: number
  /** Connections opened after the first one. */
  readonly reconnects: number
}

const PACKET_TOO_LARGE = 0x95

/** A connection to the models behind a broker. Made by `connect()`. */
export class Client {
  /** The `{client}` level of its topics. */
  readonly identity: string
  readonly #settings: Settings
  readonly #instance = randomInstance()
  readonly #link: Link
  readonly #window: SendWindow
  readonly #waiting = new Map<string, PendingRequest>()
  readonly #cardListeners = new Set<(message: Message) => void>()
  readonly #cardPrefix: string
  #ignoredReplies = 0
  #closing: Promise<void> | undefined

  private constructor(settings: Settings, dial: Dial) {
    this.identity = settings.identity
    this.#settings = settings
    this.#cardPrefix = settings.topics.card('')
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

  /** Whether there is a connection at the moment. Requests may be made without one; they wait. */
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
   * Asks a model and waits for its answer. The body is what would be POSTed to the model server.
   * The request may be executed more than once where the broker or the connector died; it ends in a reply, an error
   * or `deadline_exceeded`.
   * @throws InferwireError for an error reply, the deadline, an abort, or what the broker refused
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
    // Before it is published: the reply may be faster than the PUBACK.
    this.#waiting.set(spec.id, request)
    this.#window.add(request)
    return await request.reply
  }

  /**
   * A V1 prediction: instances in, predictions out.
   * @throws InferwireError as `infer()`, and `upstream_invalid_response` when the answer has no predictions
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
      `The answer of model "${model}" has no list "predictions".`,
      { model, body: reply.body, retryable: false },
    )
  }

  /**
   * The cards of all models that this client may see, by name; what is no card is left out.
   * @throws InferwireError without a connection, TypeError for options that make no sense
   */
  async models(options: ModelsOptions = {}): Promise<ReceivedCard[]> {
    return await collectCards(this.#cards('+', options), options)
  }

  /** The card of one model; undefined when none is retained. @throws InferwireError without a connection */
  async model(name: string, options: ModelsOptions = {}): Promise<ReceivedCard | undefined> {
    // A wildcard would find the card of any model.
    if (!isModelName(name)) return undefined
    const [card] = await collectCards(this.#cards(name, options), options, (cards) => cards.size > 0)
    return card
  }

  /** Ends the connection. Requests that still wait are rejected with `cancelled`. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close())
  }

  async #close(): Promise<void> {
    this.#window.close()
    for (const request of this.#waiting.values()) {
      const { model } = request.spec
      request.fail(new InferwireError('cancelled', 'The client was closed before the reply came.', { model }))
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
        `${inFlightMax} requests of this client wait for their reply already (inFlightMax).`,
        { model },
      )
    }
  }

  #forget(request: PendingRequest): void {
    this.#waiting.delete(request.spec.id)
    this.#window.delete(request)
  }

  #receive(message: Message): void {
    if (message.topic.startsWith(this.#cardPrefix)) {
      for (const listen of this.#cardListeners) listen(message)
      return
    }
    const request = this.#waiting.get(message.topic.slice(message.topic.lastIndexOf('/') + 1))
    if (request === undefined || !isReplyTo(request, message)) this.#ignoredReplies++
    else request.answered(message)
  }

  // The session was lost with the connection: what was asked, and what was answered meanwhile, may be lost with it.
  #resume(connection: Connection, attempts: number): void {
    this.#window.open(connection)
    for (const request of this.#waiting.values()) {
      // A broker that was away broke the connection itself, not what was sent to it.
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
        `The broker does not take a packet as large as the request to model "${model}" (${payload.length} bytes).`,
        { model },
      ),
    )
  }

  #cards(name: string, options: ModelsOptions): CardSource {
    const timeoutMs = milliseconds('timeoutMs', options.timeoutMs ?? MODELS_TIMEOUT_DEFAULT_MS)
    if (options.settleMs !== undefined) milliseconds('settleMs', options.settleMs)
    const filter = this.#settings.topics.card(name)
    return {
      subscribe: async (onMessage) => {
        const connection = await this.#link.whenUp(timeoutMs)
        const listen = (message: Message): void => {
          if (name === '+' || message.topic === filter) onMessage(message)
        }
        this.#cardListeners.add(listen)
        try {
          await connection.subscribe(filter, 1)
        } catch (error) {
          this.#cardListeners.delete(listen)
          throw error
        }
        return async () => {
          this.#cardListeners.delete(listen)
          // Where the connection is gone, so is the subscription.
          await connection.unsubscribe(filter).catch(() => {})
        }
      },
    }
  }
}

// The topic names one request of one client. Correlation Data that was not lost on the way must fit as well.
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

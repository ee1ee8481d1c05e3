// The client: the methods with which applications use models.
import { isModelName, type ConnectorStatus, type InputTensor, type ReceivedCard } from '@inferwire/protocol'
import type { RequestBody } from './body.ts'
import { InferwireError } from './error.ts'
import { InferStream } from './infer-stream.ts'
import { fetchResult, submitWork } from './long-work.ts'
import type { ResultOptions, Submission, SubmitOptions } from './long-work.ts'
import { collectCards, collectStatuses, type ModelsOptions, type RetainedOptions } from './models.ts'
import { chunkReader, toAnswer, toGenerationBody } from './openai-calls.ts'
import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatMessage,
  ChatRequest,
  Completion,
  CompletionRequest,
  EmbeddingsInput,
  EmbeddingsRequest,
  EmbeddingsResponse,
} from './openai-types.ts'
import { streamBounds, STREAM_TIMEOUT_DEFAULT_MS, type InferOptions } from './options.ts'
import type { Settings, StreamOptions } from './options.ts'
import { SingleReply, StreamedReply, type PartReader } from './receivers.ts'
import type { Reply } from './reply.ts'
import { randomInstance, toRequestSpec } from './request-spec.ts'
import type { PendingRequest } from './request.ts'
import type { StreamPart } from './stream-part.ts'
import { isTensorList, TensorCalls, type TensorOptions, type TensorReply } from './tensor-calls.ts'
import { Traffic, type ClientStats } from './traffic.ts'
import type { Dial } from './transport.ts'

/** A request of `stream()`. */
export interface StreamRequest {
  /** The operation level of the topic, for example `generate` or `infer_stream`. */
  readonly operation: string
  /** The body that you would POST to the model server. */
  readonly body?: RequestBody | undefined
}

/** The options of `chat()` and `completions()`. */
export interface GenerationOptions extends Omit<StreamOptions, 'contentType'> {
  /** Whether to return the answer as a stream. @default the request's `stream` member, or false */
  readonly stream?: boolean | undefined
}

type Whole = GenerationOptions & { readonly stream?: false | undefined }
type Streamed = GenerationOptions & { readonly stream: true }
type Bodiless = Omit<InferOptions, 'operation' | 'contentType'>

/** A client for the models behind a broker. Created by `connect()`. */
export class Client {
  /** The `{client}` level of the client's topics. */
  readonly identity: string
  readonly #settings: Settings
  readonly #dial: Dial
  readonly #instance = randomInstance()
  readonly #traffic: Traffic
  readonly #tensorCalls: TensorCalls
  readonly #closed = new AbortController()
  #closing: Promise<void> | undefined

  private constructor(settings: Settings, dial: Dial) {
    this.identity = settings.identity
    this.#settings = settings
    this.#dial = dial
    this.#traffic = new Traffic(settings, this.#instance, dial)
    this.#tensorCalls = new TensorCalls({
      isMqtt5: settings.target.protocolVersion === 5,
      send: (model, body, options) => this.#send(model, body, options),
      card: (model, timeoutMs) => this.model(model, { timeoutMs }),
    })
  }

  /** Connects. @throws InferwireError `broker_unreachable` or `not_authorized` */
  static async open(settings: Settings, dial: Dial): Promise<Client> {
    const client = new Client(settings, dial)
    await client.#traffic.open()
    return client
  }

  /** Whether the client is connected now. Requests made while it is disconnected wait for the next connection. */
  get isConnected(): boolean {
    return this.#traffic.isConnected
  }

  get stats(): ClientStats {
    return this.#traffic.stats
  }

  /**
   * Sends tensors to a model (V2), and waits for its outputs. Values are exact: 64-bit integers are bigints.
   * @throws InferwireError as for a request with a body, and `upstream_invalid_response` if the reply is not a V2
   * response; TypeError for tensors that do not match their datatype or shape
   */
  // Generic, because TypeScript would prefer the other overload for a list whose elements lack an optional member.
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters
  infer<Input extends InputTensor>(
    model: string,
    inputs: readonly Input[],
    options?: TensorOptions,
  ): Promise<TensorReply>
  /**
   * Sends a request to a model and waits for its reply. The body is the one you would POST to the model server.
   * The request may be executed more than once if the broker or the connector crashes. Every request ends with a
   * reply, an error or `deadline_exceeded`.
   * @throws InferwireError for an error reply, the deadline, an abort, or a refusal by the broker
   */
  infer(model: string, body?: RequestBody, options?: InferOptions): Promise<Reply>
  async infer(
    model: string,
    body?: RequestBody | readonly InputTensor[],
    options: InferOptions | TensorOptions = {},
  ): Promise<Reply> {
    if (isTensorList(body)) return await this.#tensorCalls.infer(model, body, options)
    return await this.#send(model, body, options)
  }

  /**
   * Makes a V1 prediction: takes instances, returns predictions.
   * @throws InferwireError like `infer()`, and `upstream_invalid_response` if the reply contains no predictions
   */
  async predict<Prediction = unknown>(
    model: string,
    instances: readonly unknown[],
    options: Bodiless = {},
  ): Promise<Prediction[]> {
    const reply = await this.#send(model, { instances }, { ...options, operation: 'predict' })
    const predictions = (reply.json() as { predictions?: unknown } | null)?.predictions
    if (Array.isArray(predictions)) return predictions as Prediction[]
    throw new InferwireError(
      'upstream_invalid_response',
      `The reply of model "${model}" has no list "predictions".`,
      { model, body: reply.body, retryable: false },
    )
  }

  /**
   * Immediately sends a request whose answer is streamed. Requires MQTT 5. All errors are thrown during the iteration.
   * If the server answers with a single message, the stream has one part.
   */
  stream(
    model: string,
    { operation, body }: StreamRequest,
    options: StreamOptions = {},
  ): InferStream<StreamPart> {
    return this.#stream(model, operation, body, options, { read: (part) => part, acceptsWhole: true })
  }

  /**
   * Continues a chat (OpenAI-compatible). Returns the whole answer or, with `stream: true`, a stream of chunks.
   * @param request the messages, or the whole body of the request
   * @throws InferwireError like `infer()` and `stream()`
   */
  chat(
    model: string,
    request: readonly ChatMessage[] | (ChatRequest & { readonly stream?: false | null }),
    options?: Whole,
  ): Promise<ChatCompletion>
  chat(
    model: string,
    request: readonly ChatMessage[] | ChatRequest,
    options: Streamed,
  ): InferStream<ChatCompletionChunk>
  chat(
    model: string,
    request: ChatRequest & { readonly stream: true },
    options?: Partial<Streamed>,
  ): InferStream<ChatCompletionChunk>
  chat(
    model: string,
    request: readonly ChatMessage[] | ChatRequest,
    options: GenerationOptions = {},
  ): Promise<ChatCompletion> | InferStream<ChatCompletionChunk> {
    const body = isChatRequest(request) ? request : { messages: request }
    return this.#generate(model, 'chat', body, options)
  }

  /** Completes a text (OpenAI-compatible). Returns the whole answer or, with `stream: true`, a stream of chunks. */
  completions(
    model: string,
    request: string | (CompletionRequest & { readonly stream?: false | null }),
    options?: Whole,
  ): Promise<Completion>
  completions(model: string, request: string | CompletionRequest, options: Streamed): InferStream<Completion>
  completions(
    model: string,
    request: CompletionRequest & { readonly stream: true },
    options?: Partial<Streamed>,
  ): InferStream<Completion>
  completions(
    model: string,
    request: string | CompletionRequest,
    options: GenerationOptions = {},
  ): Promise<Completion> | InferStream<Completion> {
    const body = typeof request === 'string' ? { prompt: request } : request
    return this.#generate(model, 'completions', body, options)
  }

  /** Returns the embeddings of texts (OpenAI-compatible). @throws InferwireError like `infer()` */
  async embeddings(
    model: string,
    request: EmbeddingsInput | EmbeddingsRequest,
    options: Bodiless = {},
  ): Promise<EmbeddingsResponse> {
    const given = isEmbeddingsRequest(request) ? request : { input: request }
    const body = toGenerationBody(model, given, undefined)
    const reply = await this.#send(model, body, { ...options, operation: 'embeddings' })
    return toAnswer(reply, model) as EmbeddingsResponse
  }

  /**
   * Publishes a request for long work, and resolves when the broker has accepted it. The broker keeps the reply in a
   * separate session; any client of the same broker with the same user can fetch it with `result()`. Requires MQTT 5.
   * @throws InferwireError if the broker refuses the request, or no connector is subscribed
   */
  async submit(model: string, body?: RequestBody, options: SubmitOptions = {}): Promise<Submission> {
    const signal = this.#untilClosed(options.signal)
    return await submitWork(this.#settings, this.#dial, model, body, { ...options, signal })
  }

  /**
   * Waits for the reply to a submitted request. The reply can be fetched once.
   * @throws InferwireError for an error reply; `result_not_found`; `deadline_exceeded` if there is no reply yet
   */
  async result(id: string, options: ResultOptions = {}): Promise<Reply> {
    const signal = this.#untilClosed(options.signal)
    return await fetchResult(this.#settings, this.#dial, id, { ...options, signal })
  }

  /**
   * Returns the retained cards that this client may read, sorted by name; messages that are not cards are skipped.
   * @throws InferwireError if there is no connection, TypeError for invalid options
   */
  async models(options: ModelsOptions = {}): Promise<ReceivedCard[]> {
    return await collectCards(this.#traffic.retained(this.#settings.topics.card('+'), options), options)
  }

  /**
   * Returns all connectors' retained statuses, sorted by name. A card remains on the broker while its connector is
   * offline; the statuses contain the models that are available now.
   * @throws InferwireError if there is no connection or no right to read statuses, TypeError for invalid options
   */
  async connectors(options: RetainedOptions = {}): Promise<ConnectorStatus[]> {
    return await collectStatuses(this.#traffic.retained(this.#settings.topics.statusFilter, options), options)
  }

  /** Returns a model's card, or undefined if none is retained. @throws InferwireError if there is no connection */
  async model(name: string, options: ModelsOptions = {}): Promise<ReceivedCard | undefined> {
    // A wildcard would match the card of any model.
    if (!isModelName(name)) return undefined
    const source = this.#traffic.retained(this.#settings.topics.card(name), options)
    const [card] = await collectCards(source, options, (cards) => cards.size > 0)
    return card
  }

  /** Disconnects. Requests still in flight are rejected with `cancelled`; open streams end with the same code. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close())
  }

  async #close(): Promise<void> {
    this.#closed.abort(new Error('the client is closed'))
    await this.#traffic.close()
  }

  async #send(model: string, body: RequestBody | undefined, options: InferOptions): Promise<Reply> {
    const receiver = new SingleReply()
    this.#traffic.send(toRequestSpec(this.#settings, this.#instance, model, body, options), receiver)
    return await receiver.reply
  }

  #stream<T>(
    model: string,
    operation: string,
    body: RequestBody | undefined,
    options: StreamOptions,
    reader: PartReader<T>,
  ): InferStream<T> {
    let request: PendingRequest | undefined
    const stream = new InferStream<T>(model, streamBounds(options), () => request?.abandon())
    const { timeoutMs = STREAM_TIMEOUT_DEFAULT_MS } = options
    try {
      if (this.#settings.target.protocolVersion === 4) {
        throw new TypeError('Streams require MQTT 5 (mqttVersion: 5): on MQTT 3.1.1, parts have no numbers.')
      }
      // There are no timed repeats: another connector could execute a repeat while the first execution is about to
      // begin.
      const sending = { ...options, operation, timeoutMs, repeatAfterMs: Infinity }
      const spec = toRequestSpec(this.#settings, this.#instance, model, body, sending)
      request = this.#traffic.send(spec, new StreamedReply(model, stream, reader))
    } catch (error) {
      stream.fail(error as Error)
    }
    return stream
  }

  #generate<Answer, Chunk>(
    model: string,
    operation: string,
    request: Readonly<Record<string, unknown>>,
    options: GenerationOptions,
  ): Promise<Answer> | InferStream<Chunk> {
    const { stream, ...sending } = options
    const body = toGenerationBody(model, request, stream)
    if (body.stream === true) return this.#stream(model, operation, body, sending, chunkReader<Chunk>(model))
    const { timeoutMs = STREAM_TIMEOUT_DEFAULT_MS } = options
    return this.#send(model, body, { ...sending, operation, timeoutMs }).then(
      (reply) => toAnswer(reply, model) as Answer,
    )
  }

  #untilClosed(signal: AbortSignal | undefined): AbortSignal {
    return signal === undefined ? this.#closed.signal : AbortSignal.any([signal, this.#closed.signal])
  }
}

function isChatRequest(request: readonly ChatMessage[] | ChatRequest): request is ChatRequest {
  return !Array.isArray(request)
}

function isEmbeddingsRequest(request: EmbeddingsInput | EmbeddingsRequest): request is EmbeddingsRequest {
  return typeof request === 'object' && !Array.isArray(request)
}

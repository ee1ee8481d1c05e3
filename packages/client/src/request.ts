// A request in flight: its deadline, its repeats and its end.
import { PROPERTY, type MessageProperties } from '@inferwire/protocol'
import { publishError } from './broker-refusal.ts'
import { InferwireError } from './error.ts'
import { TIMEOUT_MAX_MS } from './options.ts'
import type { ReplyFacts } from './reply.ts'
import type { Message } from './transport.ts'

/** A request to send. */
export interface RequestSpec {
  /** Correlation Data in hexadecimal digits; also the last level of the reply topic. */
  readonly id: string
  readonly model: string
  /** Undefined = the default operation of the model's card. */
  readonly operation: string | undefined
  readonly topic: string
  /** The topic without the id, for error messages. */
  readonly shownTopic: string
  readonly replyTopic: string
  /** A message on this topic with the same Correlation Data cancels the request. */
  readonly cancelTopic: string
  readonly payload: Uint8Array
  /** All properties except the deadline, which is computed for every attempt. */
  readonly properties: MessageProperties
  readonly timeoutMs: number
  readonly repeatAfterMs: number
  /** Longest time between two parts of the answer. */
  readonly idleTimeoutMs: number
  readonly waitForConnector: boolean
  readonly signal: AbortSignal | undefined
}

/** Receives the messages of one request, and its end. */
export interface ReplyReceiver {
  /** Whether the model must be stopped when the client is closed. */
  readonly isStream: boolean
  /**
   * Handles a message on the reply topic. Returns `ended` for the last message, otherwise `more`. Returns an error
   * if the request must end although the model may still be running.
   * @throws InferwireError for an error reply, which ends the request
   */
  receive(message: Message, facts: ReplyFacts): 'more' | 'ended' | InferwireError
  /** Called when the request ends without its last message. */
  fail(error: InferwireError): void
}

/** The part of the client that a request uses. */
export interface RequestHost {
  /**
   * Queues the request on the current connection. While disconnected, does nothing: `resume()` queues it on the next
   * connection.
   */
  transmit(request: PendingRequest): void
  /** Publishes a cancel message, now or on the next connection. */
  cancel(request: PendingRequest): void
  /** Removes a request that has ended. */
  forget(request: PendingRequest): void
  /** Removes a request from the send queue, because its answer has begun. */
  arrived(request: PendingRequest): void
  /** Returns the reason why nothing can be sent now; undefined while connected. */
  describeDown(): string | undefined
}

const NO_MATCHING_SUBSCRIBERS = 0x10
const QUOTA_EXCEEDED = 0x97
// Every broker accepts packets of this size. The size of a smaller request is not the reason for a lost
// connection.
const SMALL_BYTES = 1_024
// Pauses between attempts while no connector is subscribed.
const CONNECTOR_PAUSE_FIRST_MS = 200
const CONNECTOR_PAUSE_MAX_MS = 5_000

/** A request that has not ended. It ends exactly once: with a reply, an error, its deadline or an abort. */
export class PendingRequest {
  readonly spec: RequestSpec
  /** Number of times the request was passed to the transport. */
  attempts = 0
  /** Whether the request was passed to the current connection and has no PUBACK yet. */
  isUnacknowledged = false
  /** Number of consecutive times the connection broke while this was the largest request without a PUBACK. */
  cuts = 0
  readonly #host: RequestHost
  readonly #receiver: ReplyReceiver
  readonly #startedAt = performance.now()
  readonly #abort = (): void => {
    this.abandon()
    this.#receiver.fail(
      new InferwireError('cancelled', `The request to model "${this.spec.model}" was cancelled.`, {
        model: this.spec.model,
        cause: this.spec.signal?.reason as unknown,
      }),
    )
  }
  #isOver = false
  // Whether a part of the answer has arrived. From then on, the request is not resent.
  #hasBegun = false
  #idle: ReturnType<typeof setTimeout> | undefined
  #isWithoutConnector = false
  #wasAccepted = false
  #deadline: ReturnType<typeof setTimeout>
  #repeat: ReturnType<typeof setTimeout> | undefined
  #repeatAfterMs: number
  #connectorPauseMs = CONNECTOR_PAUSE_FIRST_MS

  constructor(spec: RequestSpec, host: RequestHost, receiver: ReplyReceiver) {
    this.spec = spec
    this.#host = host
    this.#receiver = receiver
    this.#repeatAfterMs = spec.repeatAfterMs
    this.#deadline = setTimeout(() => this.#expire(), spec.timeoutMs)
    spec.signal?.addEventListener('abort', this.#abort, { once: true })
  }

  get isOver(): boolean {
    return this.#isOver
  }

  /** Returns the message to publish: the same for every attempt, except for the remaining time. */
  message(): Message {
    const { topic, payload, properties, timeoutMs } = this.spec
    const leftMs = Math.max(1, Math.ceil(timeoutMs - (performance.now() - this.#startedAt)))
    return {
      topic,
      payload,
      properties: {
        ...properties,
        // In whole seconds (MQTT 5 §3.3.2.3.3); the user property is in milliseconds.
        messageExpiryInterval: Math.ceil(leftMs / 1_000),
        // The connector uses the first value of a repeated name, so a header cannot override the deadline.
        userProperties: [PROPERTY.timeoutMs, String(leftMs), ...(properties.userProperties ?? [])],
      },
    }
  }

  /** Returns the message that cancels the request. */
  cancelMessage(): Message {
    const { correlationData } = this.spec.properties
    return {
      topic: this.spec.cancelTopic,
      payload: new Uint8Array(0),
      properties: correlationData === undefined ? {} : { correlationData },
    }
  }

  /** Records that the request was passed to the connection. */
  sent(): void {
    this.attempts++
    this.isUnacknowledged = true
    if (!this.#hasBegun) this.#repeatIn(this.#repeatAfterMs)
  }

  /** Handles the broker's PUBACK for the latest attempt. */
  acknowledged(reasonCode: number): void {
    this.isUnacknowledged = false
    this.cuts = 0
    // A part of the answer proves that the request arrived.
    if (this.#isOver || this.#hasBegun) return
    const { shownTopic, model, waitForConnector } = this.spec
    this.#isWithoutConnector = reasonCode === NO_MATCHING_SUBSCRIBERS
    if (this.#isWithoutConnector) {
      // After a broker restart, a repeat may arrive before the connector has reconnected.
      if (waitForConnector || this.attempts > 1) this.#waitForConnector()
      else this.fail(new InferwireError('no_connector', noConnector(shownTopic), { model }))
      return
    }
    // Only the repeat exceeded the broker's quota; an earlier attempt was accepted and remains valid.
    if (reasonCode === QUOTA_EXCEEDED && this.#wasAccepted) return
    this.#wasAccepted ||= reasonCode === 0
    const error = publishError(reasonCode, shownTopic, model)
    if (error !== undefined) this.fail(error)
  }

  /**
   * Handles a lost connection. The request may or may not have arrived; the next connection sends it again. An answer
   * that has begun is lost, unless the broker may have kept the session.
   */
  connectionLost(mayKeepSession: boolean): void {
    this.isUnacknowledged = false
    clearTimeout(this.#repeat)
    if (this.#hasBegun && !mayKeepSession) this.#stop(this.#lostInTheMiddle())
  }

  /**
   * Resends the request on a new connection. A request that may have broken earlier connections is sent last. An answer
   * that has begun continues if the session was kept.
   */
  resume(isSessionPresent: boolean): void {
    if (this.#hasBegun) {
      if (!isSessionPresent) this.#stop(this.#lostInTheMiddle())
      return
    }
    if (this.cuts < 2) this.#host.transmit(this)
    else this.#sendIn(Math.min(100 * 2 ** this.cuts, CONNECTOR_PAUSE_MAX_MS))
  }

  /** Handles a message on the reply topic. */
  answered(message: Message): void {
    if (this.#isOver) return
    const { model, operation } = this.spec
    const durationMs = performance.now() - this.#startedAt
    try {
      const received = this.#receiver.receive(message, {
        model,
        operation,
        attempts: this.attempts,
        durationMs,
      })
      if (received === 'ended') this.#end()
      else if (received === 'more') this.#partReceived()
      else this.#stop(received)
    } catch (error) {
      this.fail(error as InferwireError)
    }
  }

  /** Ends the request with an error. */
  fail(error: InferwireError): void {
    if (this.#isOver) return
    this.#end()
    this.#receiver.fail(error)
  }

  /** Ends the request because the client is closed. */
  close(error: InferwireError): void {
    if (this.#receiver.isStream) this.#stop(error)
    else this.fail(error)
  }

  /** Ends the request without an outcome, and stops the model. */
  abandon(): void {
    if (this.#isOver) return
    if (this.attempts > 0) this.#host.cancel(this)
    this.#end()
  }

  #stop(error: InferwireError): void {
    this.abandon()
    this.#receiver.fail(error)
  }

  // The connector also enforces the deadline, but its clock may differ, and a stream must not continue unread.
  #expire(): void {
    if (this.#hasBegun) this.#stop(this.#deadlineError())
    else this.fail(this.#deadlineError())
  }

  #partReceived(): void {
    this.#hasBegun = true
    clearTimeout(this.#repeat)
    this.#host.arrived(this)
    clearTimeout(this.#idle)
    const { model, idleTimeoutMs } = this.spec
    this.#idle = setTimeout(() => {
      const what = `The stream of model "${model}" was silent for ${idleTimeoutMs} ms (idleTimeoutMs).`
      const down = this.#host.describeDown()
      const message = down === undefined ? what : `${what} ${down}`
      this.#stop(new InferwireError('stream_interrupted', message, { model }))
    }, idleTimeoutMs)
  }

  #lostInTheMiddle(): InferwireError {
    const { model } = this.spec
    return new InferwireError(
      'stream_interrupted',
      `The connection was lost during the stream of model "${model}", so parts of the stream may be lost. With sessionExpirySeconds, streams continue on the next connection.`,
      { model },
    )
  }

  #end(): void {
    this.#isOver = true
    clearTimeout(this.#deadline)
    clearTimeout(this.#repeat)
    clearTimeout(this.#idle)
    this.spec.signal?.removeEventListener('abort', this.#abort)
    this.#host.forget(this)
  }

  // Adds a random time of up to half the delay, so that many clients do not repeat their requests at the same time.
  #repeatIn(afterMs: number): void {
    clearTimeout(this.#repeat)
    const waitMs = afterMs * (1 + Math.random() / 2)
    if (!(waitMs < TIMEOUT_MAX_MS)) return
    this.#repeat = setTimeout(() => {
      // Without a PUBACK, the previous copy of the request may still be in transit, and a repeat would only queue
      // behind it.
      if (this.isUnacknowledged) {
        this.#repeatIn(this.#repeatAfterMs)
        return
      }
      this.#repeatAfterMs *= 2
      this.#host.transmit(this)
    }, waitMs)
  }

  #waitForConnector(): void {
    this.#sendIn(this.#connectorPauseMs * (0.5 + Math.random() / 2))
    this.#connectorPauseMs = Math.min(this.#connectorPauseMs * 2, CONNECTOR_PAUSE_MAX_MS)
  }

  #sendIn(waitMs: number): void {
    clearTimeout(this.#repeat)
    this.#repeat = setTimeout(() => this.#host.transmit(this), waitMs)
  }

  #deadlineError(): InferwireError {
    const { model, timeoutMs, payload } = this.spec
    if (this.#hasBegun) {
      const what = `The stream of model "${model}" did not end within ${timeoutMs} ms (timeoutMs).`
      return new InferwireError('deadline_exceeded', what, { model })
    }
    const times = this.attempts === 1 ? 'once' : `${this.attempts} times`
    const what = `No reply from model "${model}" within ${timeoutMs} ms (sent ${times}).`
    // MQTT 3.1.1 has no reason code for a packet that is too large: the broker closes the connection each time.
    if (this.cuts > 1 && payload.length > SMALL_BYTES) {
      const size = `the connection broke ${this.cuts} times while the request's ${payload.length} bytes were sent`
      return new InferwireError(
        'payload_too_large',
        `${what} The broker probably does not accept packets of that size: ${size}.`,
        { model },
      )
    }
    const down = this.#host.describeDown()
    return new InferwireError('deadline_exceeded', `${what}${this.#reasonFor(down)}`, { model })
  }

  #reasonFor(down: string | undefined): string {
    const { shownTopic, properties, payload } = this.spec
    if (down !== undefined) return ` ${down}`
    if (this.#isWithoutConnector) return ` ${noConnector(shownTopic)}`
    if (properties.responseTopic !== undefined) {
      return ' If the request crosses an MQTT 3.1.1 bridge, set the operation: the bridge drops the Response Topic, which a request without an operation needs.'
    }
    if (!this.#wasAccepted || properties.correlationData !== undefined) return ''
    // MQTT 3.1.1 §3.3.5: a broker may acknowledge a PUBLISH that it does not authorize.
    return ` The broker acknowledged the request, but on MQTT 3.1.1 a broker also acknowledges messages that it drops: the request's ${payload.length} bytes may be too large, "${shownTopic}" may be forbidden, or no connector is subscribed.`
  }
}

function noConnector(topic: string): string {
  return `No connector is subscribed to "${topic}".`
}

// One request that waits for its reply: its deadline, its repeats, and how it ends.
import { PROPERTY, type MessageProperties } from '@inferwire/protocol'
import { publishError } from './broker-refusal.ts'
import { InferwireError } from './error.ts'
import { TIMEOUT_MAX_MS } from './options.ts'
import { readReply, type Reply } from './reply.ts'
import type { Message } from './transport.ts'

/** A request as the caller meant it. */
export interface RequestSpec {
  /** Correlation Data in hexadecimal digits; also the last level of the reply topic. */
  readonly id: string
  readonly model: string
  /** Undefined where the card decides. */
  readonly operation: string | undefined
  readonly topic: string
  /** Without the id, for error messages. */
  readonly shownTopic: string
  readonly replyTopic: string
  /** Where a message with the same Correlation Data stops it. */
  readonly cancelTopic: string
  readonly payload: Uint8Array
  /** All but the deadline, which every repeat says anew. */
  readonly properties: MessageProperties
  readonly timeoutMs: number
  readonly repeatAfterMs: number
  readonly waitForConnector: boolean
  readonly signal: AbortSignal | undefined
}

/** Who sends it. */
export interface RequestHost {
  /** Puts it in line on the present connection. Without one nothing happens: it is sent when there is one again. */
  transmit(request: PendingRequest): void
  /** Tells the connector, if it can be told now, that nobody waits any more. */
  cancel(request: PendingRequest): void
  /** It has ended. */
  forget(request: PendingRequest): void
  /** Why nothing can be sent at the moment; undefined while connected. */
  describeDown(): string | undefined
}

const NO_MATCHING_SUBSCRIBERS = 0x10
const QUOTA_EXCEEDED = 0x97
// Every broker takes so much; where the connection broke over less, it broke for another reason.
const SMALL_BYTES = 1_024
// Pauses between tries for a connector that is not there (yet).
const CONNECTOR_PAUSE_FIRST_MS = 200
const CONNECTOR_PAUSE_MAX_MS = 5_000

/** A request between `infer()` and its end. It ends once: by a reply, an error, its deadline or an abort. */
export class PendingRequest {
  readonly spec: RequestSpec
  readonly reply: Promise<Reply>
  /** How often it was handed to the transport. */
  attempts = 0
  /** Handed to the present connection, and no PUBACK yet. */
  isUnacknowledged = false
  /** How often in a row the connection broke while this was the largest request without a PUBACK. */
  cuts = 0
  readonly #host: RequestHost
  readonly #startedAt = performance.now()
  readonly #abort = (): void => {
    if (this.attempts > 0) this.#host.cancel(this)
    this.fail(
      new InferwireError('cancelled', `The request to model "${this.spec.model}" was cancelled.`, {
        model: this.spec.model,
        cause: this.spec.signal?.reason as unknown,
      }),
    )
  }
  #resolve!: (reply: Reply) => void
  #reject!: (error: InferwireError) => void
  #isOver = false
  #isWithoutConnector = false
  #wasTaken = false
  #deadline: ReturnType<typeof setTimeout>
  #repeat: ReturnType<typeof setTimeout> | undefined
  #repeatAfterMs: number
  #connectorPauseMs = CONNECTOR_PAUSE_FIRST_MS

  constructor(spec: RequestSpec, host: RequestHost) {
    this.spec = spec
    this.#host = host
    this.#repeatAfterMs = spec.repeatAfterMs
    this.reply = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    this.#deadline = setTimeout(() => this.fail(this.#deadlineError()), spec.timeoutMs)
    spec.signal?.addEventListener('abort', this.#abort, { once: true })
  }

  get isOver(): boolean {
    return this.#isOver
  }

  /** What to publish now: the same request every time, with what is left of its deadline. */
  message(): Message {
    const { topic, payload, properties, timeoutMs } = this.spec
    const leftMs = Math.max(1, Math.ceil(timeoutMs - (performance.now() - this.#startedAt)))
    return {
      topic,
      payload,
      properties: {
        ...properties,
        // MQTT 5 §3.3.2.3.3 counts whole seconds; the user property says it exactly.
        messageExpiryInterval: Math.ceil(leftMs / 1_000),
        // First, because the first of a repeated name counts: a header cannot take its place.
        userProperties: [PROPERTY.timeoutMs, String(leftMs), ...(properties.userProperties ?? [])],
      },
    }
  }

  /** What stops it. */
  cancelMessage(): Message {
    const { correlationData } = this.spec.properties
    return {
      topic: this.spec.cancelTopic,
      payload: new Uint8Array(0),
      properties: correlationData === undefined ? {} : { correlationData },
    }
  }

  /** It was handed to the connection. */
  sent(): void {
    this.attempts++
    this.isUnacknowledged = true
    this.#repeatIn(this.#repeatAfterMs)
  }

  /** The broker's PUBACK for the latest attempt. */
  acknowledged(reasonCode: number): void {
    this.isUnacknowledged = false
    this.cuts = 0
    if (this.#isOver) return
    const { shownTopic, model, waitForConnector } = this.spec
    this.#isWithoutConnector = reasonCode === NO_MATCHING_SUBSCRIBERS
    if (this.#isWithoutConnector) {
      // A repeat finds nobody where a broker that was killed came back before its connector: that passes.
      if (waitForConnector || this.attempts > 1) this.#waitForConnector()
      else this.fail(new InferwireError('no_connector', noConnector(shownTopic), { model }))
      return
    }
    // A repeat found no place in the broker's quota; the one that was taken before still has its own.
    if (reasonCode === QUOTA_EXCEEDED && this.#wasTaken) return
    this.#wasTaken ||= reasonCode === 0
    const error = publishError(reasonCode, shownTopic, model)
    if (error !== undefined) this.fail(error)
  }

  /** The connection broke: nothing is known of what was sent on it. It is sent again on the next one. */
  connectionLost(): void {
    this.isUnacknowledged = false
    clearTimeout(this.#repeat)
  }

  /** Sends it on a new connection; one that may have broken the last ones lets the others go first. */
  resume(): void {
    if (this.cuts < 2) this.#host.transmit(this)
    else this.#sendIn(Math.min(100 * 2 ** this.cuts, CONNECTOR_PAUSE_MAX_MS))
  }

  /** Its reply has come. */
  answered(message: Message): void {
    if (this.#isOver) return
    try {
      const { model, operation } = this.spec
      const durationMs = performance.now() - this.#startedAt
      const reply = readReply(message, { model, operation, attempts: this.attempts, durationMs })
      this.#end()
      this.#resolve(reply)
    } catch (error) {
      this.fail(error as InferwireError)
    }
  }

  /** Ends it with an error. */
  fail(error: InferwireError): void {
    if (this.#isOver) return
    this.#end()
    this.#reject(error)
  }

  #end(): void {
    this.#isOver = true
    clearTimeout(this.#deadline)
    clearTimeout(this.#repeat)
    this.spec.signal?.removeEventListener('abort', this.#abort)
    this.#host.forget(this)
  }

  // Up to one and a half of the wait, so that a fleet's repeats do not come together.
  #repeatIn(afterMs: number): void {
    clearTimeout(this.#repeat)
    const waitMs = afterMs * (1 + Math.random() / 2)
    if (!(waitMs < TIMEOUT_MAX_MS)) return
    this.#repeat = setTimeout(() => {
      // Without a PUBACK the first copy is still on its way to the broker: a second one would only follow it.
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
    const times = this.attempts === 1 ? 'once' : `${this.attempts} times`
    const what = `No reply from model "${model}" within ${timeoutMs} ms (sent ${times}).`
    // MQTT 3.1.1 has no reason codes: a broker that does not take the packet ends the connection, every time.
    if (this.cuts > 1 && payload.length > SMALL_BYTES) {
      const size = `the connection broke ${this.cuts} times while its ${payload.length} bytes were sent`
      return new InferwireError(
        'payload_too_large',
        `${what} Probably the broker does not take packets of that size: ${size}.`,
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
      return ' If a bridge of MQTT 3.1.1 is on the way, name the operation: it drops the Response Topic that such a reply needs.'
    }
    if (!this.#wasTaken || properties.correlationData !== undefined) return ''
    // MQTT 3.1.1 §3.3.5: a broker that does not authorize a PUBLISH may acknowledge it all the same.
    return ` The broker acknowledged it, which on MQTT 3.1.1 it also does when it drops a message: one of ${payload.length} bytes may be too large for it, "${shownTopic}" may be forbidden, or no connector is subscribed.`
  }
}

function noConnector(topic: string): string {
  return `No connector is subscribed to "${topic}".`
}

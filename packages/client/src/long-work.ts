// Long work: publishes a request whose reply another process may fetch later. Each request has a broker session of its
// own, so that fetching one result does not consume the reply of another request.
import { PROPERTY } from '@inferwire/protocol'
import type { RequestBody } from './body.ts'
import { publishError } from './broker-refusal.ts'
import { delay } from './delay.ts'
import { InferwireError } from './error.ts'
import {
  milliseconds,
  SESSION_EXPIRY_MAX_SECONDS,
  within,
  type InferOptions,
  type Settings,
} from './options.ts'
import { publishPacketBytes } from './packet-size.ts'
import { PartOrder } from './part-order.ts'
import type { Reply } from './reply.ts'
import { randomInstance, toRequestSpec } from './request-spec.ts'
import type { RequestSpec } from './request.ts'
import type { StreamPart } from './stream-part.ts'
import type { Connection, Dial, DialTarget, Message } from './transport.ts'

/** The options of `submit()`. */
export interface SubmitOptions extends Omit<InferOptions, 'repeatAfterMs' | 'waitForConnector'> {
  /** The deadline of the work itself, in milliseconds from now. @default 3600000 */
  readonly timeoutMs?: number | undefined
  /** Time for which the broker keeps the request and its reply, in seconds. @default 86400 */
  readonly keepSeconds?: number | undefined
}

/** The options of `result()`. */
export interface ResultOptions {
  /** How long to wait for the reply, in milliseconds. @default 30000 */
  readonly timeoutMs?: number | undefined
  /** An abort ends the wait with `cancelled`. The result remains available. */
  readonly signal?: AbortSignal | undefined
  /** Time for which the broker keeps the reply if this call does not receive it, in seconds. @default 86400 */
  readonly keepSeconds?: number | undefined
  /**
   * Called for each part of a streamed answer, for example a progress message. Parts that an earlier call received are
   * not repeated.
   */
  readonly onPart?: ((part: StreamPart) => void) | undefined
}

/** A request that was submitted. */
export interface Submission {
  /** The argument of `result()`. */
  readonly id: string
  readonly model: string
}

const KEEP_DEFAULT_SECONDS = 86_400
const WORK_TIMEOUT_DEFAULT_MS = 3_600_000
const RESULT_TIMEOUT_DEFAULT_MS = 30_000
const RECONNECT_PAUSE_MS = 500
const NO_MATCHING_SUBSCRIBERS = 0x10
const SESSION_TAKEN_OVER = 0x8e

/**
 * Publishes a request, and resolves when the broker has accepted it.
 * @throws InferwireError if the broker refuses it or no connector is subscribed; TypeError for invalid options
 */
export async function submitWork(
  settings: Settings,
  dial: Dial,
  model: string,
  body: RequestBody | undefined,
  options: SubmitOptions,
): Promise<Submission> {
  const sessionExpirySeconds = keepSecondsOf(settings, options.keepSeconds)
  const timeoutMs = options.timeoutMs ?? WORK_TIMEOUT_DEFAULT_MS
  const spec = toRequestSpec(settings, randomInstance(), model, body, { ...options, timeoutMs })
  const session = targetOf(settings, spec.id, sessionExpirySeconds)
  const stop = stopSignal(options.signal, settings.target.connectTimeoutMs)
  // The request is published on a connection of its own. The reply may arrive before the request is acknowledged,
  // and must stay in the session that stores it.
  await withConnection(publisherOf(settings, spec.id), dial, stop, model, async (publisher) => {
    await withConnection(session, dial, stop, model, (keeper) => keeper.subscribe(spec.replyTopic, 1))
    try {
      await publishWork(publisher, spec, sessionExpirySeconds)
    } catch (error) {
      await endSession(session, dial)
      throw error
    }
  })
  return { id: spec.id, model }
}

/** Opens a connection for `work`; afterwards the broker keeps the session only if the work succeeded. */
async function withConnection(
  target: DialTarget,
  dial: Dial,
  stop: AbortSignal,
  model: string,
  work: (connection: Connection) => Promise<void>,
): Promise<void> {
  const lost = new Lost()
  const connection = await dial(target, { onMessage: () => {}, onClose: lost.close }, stop)
  let isKept = false
  try {
    await Promise.race([work(connection), lost.promise, aborted(stop, model)])
    isKept = true
  } finally {
    await connection.close(!isKept)
  }
}

// If the request was not accepted, nothing will ever arrive in the session, so the session is deleted. If the
// deletion fails, the session expires.
async function endSession(target: DialTarget, dial: Dial): Promise<void> {
  const events = { onMessage: () => {}, onClose: () => {} }
  const stop = AbortSignal.timeout(target.connectTimeoutMs)
  await dial(target, events, stop).then(
    (connection) => connection.close(true),
    () => {},
  )
}

async function publishWork(connection: Connection, spec: RequestSpec, expirySeconds: number): Promise<void> {
  const { topic, payload, properties, model, shownTopic, timeoutMs } = spec
  const message: Message = {
    topic,
    payload,
    properties: {
      ...properties,
      // The reply also expires at the end of this interval, so the interval includes the time until the reply is
      // fetched.
      messageExpiryInterval: expirySeconds,
      userProperties: [
        PROPERTY.timeoutMs,
        String(Math.ceil(timeoutMs)),
        ...(properties.userProperties ?? []),
      ],
    },
  }
  const bytes = publishPacketBytes(message, 5)
  if (bytes > connection.limits.packetBytesMax) {
    const what = `The request to model "${model}" is a packet of ${bytes} bytes; the broker accepts at most ${connection.limits.packetBytesMax}.`
    throw new InferwireError('payload_too_large', what, { model })
  }
  const reasonCode = await new Promise<number>((resolve) => connection.publish(message, resolve))
  if (reasonCode === NO_MATCHING_SUBSCRIBERS) {
    throw new InferwireError('no_connector', `No connector is subscribed to "${shownTopic}".`, { model })
  }
  const error = publishError(reasonCode, shownTopic, model)
  if (error !== undefined) throw error
}

/**
 * Waits for the reply to a submitted request, and then deletes the session that stored the reply.
 * @throws InferwireError for an error reply; `result_not_found`; `deadline_exceeded` if there is no reply yet;
 * `stream_interrupted` if parts of a streamed answer are missing
 */
export async function fetchResult(
  settings: Settings,
  dial: Dial,
  id: string,
  options: ResultOptions,
): Promise<Reply> {
  if (typeof id !== 'string' || !/^[0-9a-f]{32}$/.test(id)) {
    throw new TypeError('The id of a result has 32 hexadecimal digits; use the id that submit() returned.')
  }
  const target = targetOf(settings, id, keepSecondsOf(settings, options.keepSeconds))
  const timeoutMs = milliseconds('timeoutMs', options.timeoutMs ?? RESULT_TIMEOUT_DEFAULT_MS)
  const stop = stopSignal(options.signal, timeoutMs)
  const result = new ResultWait(id, options.onPart)
  for (;;) {
    try {
      return await oneConnection(target, dial, result, stop)
    } catch (error) {
      if (options.signal?.aborted === true) {
        const cause: unknown = options.signal.reason
        throw new InferwireError('cancelled', 'The wait for the result was cancelled.', { cause })
      }
      if (stop.aborted) throw notYet(id, timeoutMs, error)
      if (!isLoss(error, result)) throw error
      await delay(RECONNECT_PAUSE_MS * (0.5 + Math.random() / 2), stop)
    }
  }
}

async function oneConnection(
  target: DialTarget,
  dial: Dial,
  result: ResultWait,
  stop: AbortSignal,
): Promise<Reply> {
  const lost = new Lost()
  const connection = await dial(target, { onMessage: result.receive, onClose: lost.close }, stop)
  result.hasConnected = true
  let isOver = !connection.isSessionPresent
  try {
    if (isOver && !result.isOver) throw notFound(result.id)
    const reply = await Promise.race([result.reply, lost.promise, aborted(stop, undefined)])
    isOver = true
    return reply
  } finally {
    await connection.close(isOver || result.isOver)
  }
}

/** Collects the messages of one result, over several connections. */
class ResultWait {
  readonly id: string
  readonly reply: Promise<Reply>
  isOver = false
  hasConnected = false
  readonly #startedAt = performance.now()
  readonly #onPart: ((part: StreamPart) => void) | undefined
  #order: PartOrder | undefined
  #resolve!: (reply: Reply) => void
  #reject!: (error: unknown) => void

  constructor(id: string, onPart: ((part: StreamPart) => void) | undefined) {
    this.id = id
    this.#onPart = onPart
    this.reply = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    // If the wait ends first, nothing else handles a rejection of the reply.
    this.reply.catch(() => {})
  }

  readonly receive = (message: Message): void => {
    if (this.isOver) return
    // The topic ends with model, operation, instance and id.
    const [, , operation, model = ''] = message.topic.split('/').toReversed()
    // An earlier call of `result()` may have received the first parts.
    this.#order ??= new PartOrder(model, true)
    try {
      const durationMs = performance.now() - this.#startedAt
      const placed = this.#order.place(message, { model, operation, attempts: 1, durationMs })
      if (placed.kind === 'broken') throw placed.error
      if (placed.kind === 'part') this.#onPart?.(placed.part)
      if (placed.kind === 'part' || placed.kind === 'repeat') return
      this.isOver = true
      this.#resolve(placed.reply)
    } catch (error) {
      this.isOver = true
      this.#reject(error)
    }
  }
}

// Whether to reconnect: only after a lost connection, not if the broker could not be reached in the first place.
function isLoss(error: unknown, { hasConnected }: ResultWait): boolean {
  return hasConnected && error instanceof InferwireError && error.code === 'broker_unreachable'
}

/** Rejects its promise when the connection is lost. */
class Lost {
  readonly promise: Promise<never>
  #reject!: (error: InferwireError) => void

  constructor() {
    this.promise = new Promise((_resolve, reject) => {
      this.#reject = reject
    })
    this.promise.catch(() => {})
  }

  readonly close = (reason: Error | undefined): void => {
    const isTaken = (reason as { code?: unknown } | undefined)?.code === SESSION_TAKEN_OVER
    this.#reject(
      isTaken
        ? new InferwireError('cancelled', 'Another call to result() with the same id has taken over.')
        : new InferwireError('broker_unreachable', 'The connection to the broker was lost.', {
            cause: reason,
          }),
    )
  }
}

// The identifier is random, so no earlier session exists. Mosquitto 2.0 saves a session on disk only if it began
// without Clean Start.
function publisherOf({ target }: Settings, id: string): DialTarget {
  return { ...target, clientId: `inferwire-submit-${id}`, isCleanStart: true, sessionExpirySeconds: 0 }
}

function targetOf({ target }: Settings, id: string, sessionExpirySeconds: number): DialTarget {
  return { ...target, clientId: `inferwire-${id}`, isCleanStart: false, sessionExpirySeconds }
}

function keepSecondsOf({ target }: Settings, keepSeconds = KEEP_DEFAULT_SECONDS): number {
  if (target.protocolVersion === 4) {
    throw new TypeError(
      'submit() and result() require MQTT 5 (mqttVersion: 5), in which sessions can expire.',
    )
  }
  return within('keepSeconds', keepSeconds, 1, SESSION_EXPIRY_MAX_SECONDS)
}

function stopSignal(signal: AbortSignal | undefined, timeoutMs: number): AbortSignal {
  const timeout = AbortSignal.timeout(timeoutMs)
  return signal === undefined ? timeout : AbortSignal.any([signal, timeout])
}

function aborted(signal: AbortSignal, model: string | undefined): Promise<never> {
  return new Promise((_resolve, reject) => {
    const fail = (): void => {
      const cause: unknown = signal.reason
      reject(new InferwireError('cancelled', 'The wait for the broker was cancelled.', { model, cause }))
    }
    if (signal.aborted) fail()
    else signal.addEventListener('abort', fail, { once: true })
  })
}

function notFound(id: string): InferwireError {
  return new InferwireError(
    'result_not_found',
    `The broker has no result ${id}: it was fetched already, it has expired (keepSeconds), or it was submitted to another broker.`,
  )
}

function notYet(id: string, timeoutMs: number, cause: unknown): InferwireError {
  const what = `Result ${id} did not arrive within ${timeoutMs} ms. It remains available; call result() again later.`
  return new InferwireError('deadline_exceeded', what, { cause })
}

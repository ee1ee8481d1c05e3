// Converts a reply message to a Reply for the application, or to an error.
import { PROPERTY, userProperty } from '@inferwire/protocol'
import { InferwireError } from './error.ts'
import { TIMEOUT_MAX_MS } from './options.ts'
import { usageOf, type TokenUsage } from './token-usage.ts'
import type { Message } from './transport.ts'

/** A model's reply. */
export interface Reply {
  /** HTTP-like status, 200 to 299. */
  readonly status: number
  /** The user property `code`, if there is one. */
  readonly code: string | undefined
  /** Content type; undefined if there is no body, or if a bridge dropped the properties. */
  readonly contentType: string | undefined
  readonly body: Uint8Array
  /** All user properties; for a repeated name, the first value. */
  readonly headers: Readonly<Record<string, string>>
  /** The durations of the connector's steps, in the format of HTTP Server-Timing. */
  readonly serverTiming: string | undefined
  /** The token counts, if the model is a language model and its server reported them. */
  readonly usage: TokenUsage | undefined
  /** Number of times the request was sent. */
  readonly attempts: number
  /** Time from the call to the reply, in milliseconds. */
  readonly durationMs: number
  /**
   * Decodes the body with the charset of its content type, or as UTF-8.
   * @throws InferwireError `upstream_invalid_response` if the bytes are not text in that charset
   */
  text(): string
  /**
   * Parses the body with JSON.parse, which rounds integers beyond 2^53 and turns `1e400` into Infinity; `text()` keeps
   * all digits. Returns undefined for a `ready` reply without a body.
   * @throws InferwireError `upstream_invalid_response` if the body is not JSON
   */
  json(): unknown
}

/** Details of a request that are copied to the Reply. */
export interface ReplyFacts {
  readonly model: string
  readonly operation: string | undefined
  readonly attempts: number
  readonly durationMs: number
}

// Error bodies are small; a longer body is not checked for an error.
const ERROR_BODY_BYTES_MAX = 1024 * 1024
const ERROR_TEXT_MAX = 500

/** Reads a reply. @throws InferwireError for a status of 400 or more, and for a reply that violates the contract */
export function readReply(message: Message, facts: ReplyFacts): Reply {
  const { userProperties } = message.properties
  const statusText = userProperty(userProperties, PROPERTY.status)
  const code = userProperty(userProperties, PROPERTY.code)
  if (statusText === undefined && isWithoutProperties(message)) return readBareReply(message, facts)
  const status = statusText !== undefined && /^[1-9]\d{2}$/.test(statusText) ? Number(statusText) : 0
  if (status >= 400)
    throw replyError(message.payload, errorBodyOf(message.payload), status, code, facts.model)
  if (status >= 200 && status < 300) return new ModelReply(status, code, message, facts)
  const what = statusText === undefined ? 'no status' : `the status "${statusText.slice(0, 20)}"`
  throw invalidReply(`The reply for model "${facts.model}" has ${what}.`, message.payload, facts.model)
}

// Returns true for replies on MQTT 3.1.1 or from behind an MQTT 3.1.1 bridge. All other replies have at least
// Correlation Data, even if they have no status.
function isWithoutProperties({ properties }: Message): boolean {
  const { contentType, correlationData, userProperties } = properties
  return contentType === undefined && correlationData === undefined && userProperties === undefined
}

// Without properties, a body is an error only if it has the exact form of one: a model may have an output `error`.
function readBareReply(message: Message, facts: ReplyFacts): Reply {
  const problem = errorBodyOf(message.payload)
  const isOfContract =
    problem.error !== undefined && problem.code !== undefined && problem.status !== undefined
  if (isOfContract || problem.isErrorOnly) {
    throw replyError(message.payload, problem, undefined, undefined, facts.model)
  }
  return new ModelReply(200, undefined, message, facts)
}

function invalidReply(message: string, body: Uint8Array, model: string, cause?: unknown): InferwireError {
  return new InferwireError('upstream_invalid_response', message, { model, body, retryable: false, cause })
}

class ModelReply implements Reply {
  readonly status: number
  readonly code: string | undefined
  readonly contentType: string | undefined
  readonly body: Uint8Array
  readonly headers: Readonly<Record<string, string>>
  readonly serverTiming: string | undefined
  readonly usage: TokenUsage | undefined
  readonly attempts: number
  readonly durationMs: number
  readonly #model: string
  readonly #operation: string | undefined

  constructor(status: number, code: string | undefined, message: Message, facts: ReplyFacts) {
    const { payload, properties } = message
    this.status = status
    this.code = code
    this.contentType = properties.contentType
    this.body = payload
    this.headers = toHeaders(properties.userProperties ?? [])
    this.serverTiming = userProperty(properties.userProperties, PROPERTY.serverTiming)
    this.usage = usageOf(properties.userProperties)
    this.attempts = facts.attempts
    this.durationMs = facts.durationMs
    this.#model = facts.model
    this.#operation = facts.operation
  }

  text(): string {
    const charset = charsetOf(this.contentType)
    try {
      return new TextDecoder(charset, { fatal: true }).decode(this.body)
    } catch (error) {
      const what = `The reply of model "${this.#model}" is not text in ${charset}${this.#typeNote()}.`
      throw invalidReply(what, this.body, this.#model, error)
    }
  }

  json(): unknown {
    // The Open Inference Protocol allows a server to report readiness with the status alone.
    if (this.body.length === 0 && this.#operation === 'ready') return undefined
    const text = this.text()
    try {
      return JSON.parse(text) as unknown
    } catch (error) {
      const reason = this.body.length === 0 ? 'it is empty' : (error as Error).message
      const what = `The reply of model "${this.#model}" is not JSON${this.#typeNote()}: ${reason}`
      throw invalidReply(what, this.body, this.#model, error)
    }
  }

  #typeNote(): string {
    return this.contentType === undefined ? '' : ` (${this.contentType})`
  }
}

// RFC 9110 §8.3.2: the value may be quoted, and its case does not matter.
function charsetOf(contentType: string | undefined): string {
  return /;\s*charset\s*=\s*"?([^\s";]+)/i.exec(contentType ?? '')?.[1]?.toLowerCase() ?? 'utf-8'
}

interface ErrorBody {
  readonly error: string | undefined
  /** Whether the error is the only member of the body. */
  readonly isErrorOnly: boolean
  readonly code?: string | undefined
  readonly status?: number | undefined
  readonly retryable?: boolean | undefined
  readonly retryAfterMs?: number | undefined
}

function replyError(
  payload: Uint8Array,
  problem: ErrorBody,
  status: number | undefined,
  code: string | undefined,
  model: string,
): InferwireError {
  const text = problem.error ?? new TextDecoder().decode(payload.subarray(0, ERROR_TEXT_MAX))
  const errorStatus = status ?? problem.status
  return new InferwireError(
    code ?? problem.code ?? 'upstream_error',
    text.slice(0, ERROR_TEXT_MAX) ||
      `Model "${model}" returned ${errorStatus === undefined ? 'an error' : `status ${errorStatus}`} without a message.`,
    {
      status: errorStatus,
      retryable: problem.retryable,
      retryAfterMs: problem.retryAfterMs,
      body: payload,
      model,
    },
  )
}

// The forms are `{"error": "…"}` (KServe and the wire contract), `{"error": {"message": "…"}}` (OpenAI) and
// `{"detail": …}` (FastAPI, which KServe's model server uses to reject an invalid body).
function errorBodyOf(payload: Uint8Array): ErrorBody {
  const body = payload.length > ERROR_BODY_BYTES_MAX ? undefined : objectOf(payload)
  if (body === undefined) return { error: undefined, isErrorOnly: false }
  const { error, detail, code, status, retryable, retry_after_ms: retryAfterMs } = body
  const nested = typeof error === 'object' && error !== null && 'message' in error ? error.message : undefined
  const text = [error, nested].find((value) => typeof value === 'string')
  return {
    error: text,
    isErrorOnly: Object.keys(body).length === 1 && (text !== undefined || detail !== undefined),
    code: typeof code === 'string' ? code : undefined,
    status: typeof status === 'number' && status >= 400 && status <= 999 ? status : undefined,
    retryable: typeof retryable === 'boolean' ? retryable : undefined,
    // A timer with a longer delay would fire immediately.
    retryAfterMs:
      typeof retryAfterMs === 'number' && retryAfterMs >= 0
        ? Math.min(retryAfterMs, TIMEOUT_MAX_MS)
        : undefined,
  }
}

function objectOf(payload: Uint8Array): Partial<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(payload))
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

function isObject(value: unknown): value is Partial<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function toHeaders(userProperties: readonly string[]): Readonly<Record<string, string>> {
  const headers = Object.create(null) as Record<string, string>
  for (let index = 0; index + 1 < userProperties.length; index += 2) {
    headers[userProperties[index]!] ??= userProperties[index + 1]!
  }
  return headers
}

// A reply message -> an answer for the application, or the error that it says.
import { PROPERTY, userProperty } from '@inferwire/protocol'
import { InferwireError } from './error.ts'
import type { Message } from './transport.ts'

/** A model's answer. */
export interface Reply {
  /** HTTP-like status, below 400. */
  readonly status: number
  /** The user property `code`, where the reply has one. */
  readonly code: string | undefined
  readonly contentType: string
  readonly body: Uint8Array
  /** All user properties; of a repeated one the first value. */
  readonly headers: Readonly<Record<string, string>>
  /** Where the time went, as in HTTP Server-Timing. */
  readonly serverTiming: string | undefined
  /** How often the request was sent. */
  readonly attempts: number
  /** From the call to the reply, in milliseconds. */
  readonly durationMs: number
  /** The body as UTF-8 text. */
  text(): string
  /** The body parsed. @throws InferwireError `upstream_invalid_response` when it is not JSON */
  json(): unknown
}

/** What is known of a request when its reply comes. */
export interface ReplyFacts {
  readonly model: string
  readonly attempts: number
  readonly durationMs: number
}

const CONTENT_TYPE_DEFAULT = 'application/json'
// Error bodies are small; a longer one is a model's answer, and is not parsed to find out.
const ERROR_BODY_BYTES_MAX = 1024 * 1024
const ERROR_TEXT_MAX = 500
const OPEN_BRACE = 0x7b

/** Reads a reply. @throws InferwireError for one with a status of 400 or more */
export function readReply(message: Message, facts: ReplyFacts): Reply {
  const { userProperties, contentType = CONTENT_TYPE_DEFAULT } = message.properties
  const statusText = userProperty(userProperties, PROPERTY.status)
  const code = userProperty(userProperties, PROPERTY.code)
  const said = statusText !== undefined && /^[1-9]\d{2}$/.test(statusText) ? Number(statusText) : undefined
  // Without properties (MQTT 3.1.1) the body is all there is: KServe's own answers have no member `error`.
  if (said === undefined || said >= 400) {
    const problem = errorBodyOf(message.payload)
    if (said !== undefined || problem.error !== undefined) {
      throw replyError(message.payload, problem, { status: said, code, model: facts.model })
    }
  }
  return new ModelReply(said ?? 200, code, contentType, message, facts)
}

class ModelReply implements Reply {
  readonly status: number
  readonly code: string | undefined
  readonly contentType: string
  readonly body: Uint8Array
  readonly headers: Readonly<Record<string, string>>
  readonly serverTiming: string | undefined
  readonly attempts: number
  readonly durationMs: number
  readonly #model: string

  constructor(
    status: number,
    code: string | undefined,
    contentType: string,
    { payload, properties }: Message,
    { model, attempts, durationMs }: ReplyFacts,
  ) {
    this.status = status
    this.code = code
    this.contentType = contentType
    this.body = payload
    this.headers = toHeaders(properties.userProperties ?? [])
    this.serverTiming = userProperty(properties.userProperties, PROPERTY.serverTiming)
    this.attempts = attempts
    this.durationMs = durationMs
    this.#model = model
  }

  text(): string {
    return new TextDecoder().decode(this.body)
  }

  json(): unknown {
    try {
      return JSON.parse(this.text()) as unknown
    } catch (error) {
      throw new InferwireError(
        'upstream_invalid_response',
        `The answer of model "${this.#model}" is not JSON (${this.contentType}): ${(error as Error).message}`,
        { model: this.#model, body: this.body, retryable: false, cause: error },
      )
    }
  }
}

interface ErrorBody {
  readonly error: string | undefined
  readonly code?: string | undefined
  readonly status?: number | undefined
  readonly retryable?: boolean | undefined
  readonly retryAfterMs?: number | undefined
}

function replyError(
  payload: Uint8Array,
  problem: ErrorBody,
  { status, code, model }: { status: number | undefined; code: string | undefined; model: string },
): InferwireError {
  const text = problem.error ?? new TextDecoder().decode(payload.subarray(0, ERROR_TEXT_MAX))
  const answered = status ?? problem.status
  return new InferwireError(
    code ?? problem.code ?? 'upstream_error',
    text.slice(0, ERROR_TEXT_MAX) || `Model "${model}" answered ${answered ?? 'an error'} without a text.`,
    {
      status: answered,
      retryable: problem.retryable,
      retryAfterMs: problem.retryAfterMs,
      body: payload,
      model,
    },
  )
}

// `{"error": "…"}` of KServe and of the wire contract, `{"error": {"message": "…"}}` of OpenAI's shape.
function errorBodyOf(payload: Uint8Array): ErrorBody {
  if (payload.length > ERROR_BODY_BYTES_MAX || payload[0] !== OPEN_BRACE) return { error: undefined }
  let body: Record<string, unknown>
  try {
    body = JSON.parse(new TextDecoder().decode(payload)) as Record<string, unknown>
  } catch {
    return { error: undefined }
  }
  const { error, code, status, retryable, retry_after_ms: retryAfterMs } = body
  const nested =
    typeof error === 'object' && error !== null ? (error as { message?: unknown }).message : undefined
  return {
    error: typeof error === 'string' ? error : typeof nested === 'string' ? nested : undefined,
    code: typeof code === 'string' ? code : undefined,
    status: typeof status === 'number' && status >= 400 && status <= 999 ? status : undefined,
    retryable: typeof retryable === 'boolean' ? retryable : undefined,
    retryAfterMs: typeof retryAfterMs === 'number' && retryAfterMs >= 0 ? retryAfterMs : undefined,
  }
}

function toHeaders(userProperties: readonly string[]): Readonly<Record<string, string>> {
  const headers = Object.create(null) as Record<string, string>
  for (let index = 0; index + 1 < userProperties.length; index += 2) {
    headers[userProperties[index]!] ??= userProperties[index + 1]!
  }
  return headers
}

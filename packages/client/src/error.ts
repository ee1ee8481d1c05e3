// The one error of the SDK: what the connector answered, or what happened on this side.
import { PROBLEMS, type ProblemCode } from '@inferwire/protocol'

/** The codes that only this side knows; all others are those of the problem table. */
export type LocalCode =
  'no_connector' | 'not_authorized' | 'broker_unreachable' | 'broker_refused' | 'certificate_refused'

/** Every code that this version knows. A newer connector may send others. */
export type InferwireErrorCode = ProblemCode | LocalCode

const RETRYABLE: Readonly<Record<LocalCode, boolean>> = {
  no_connector: true,
  not_authorized: false,
  broker_unreachable: true,
  broker_refused: false,
  certificate_refused: false,
}

/** What else is known about an error. */
export interface InferwireErrorOptions {
  readonly status?: number | undefined
  readonly retryable?: boolean | undefined
  readonly retryAfterMs?: number | undefined
  readonly body?: Uint8Array | undefined
  readonly model?: string | undefined
  readonly cause?: unknown
}

/** Thrown by `connect()` and by everything that a client does. `message` is the reply's `error` text where there is one. */
export class InferwireError extends Error {
  override readonly name = 'InferwireError'
  /** Machine-readable: switch on this. */
  readonly code: InferwireErrorCode | (string & {})
  /** HTTP-like status; undefined for the codes that only this side knows. */
  readonly status: number | undefined
  /** Whether the same request may succeed later without being changed. */
  readonly retryable: boolean
  /** When a retry makes sense, in milliseconds from now. */
  readonly retryAfterMs: number | undefined
  /** The body of the error reply; undefined when no reply came. */
  readonly body: Uint8Array | undefined
  /** The model that was asked. */
  readonly model: string | undefined

  constructor(
    code: InferwireErrorCode | (string & {}),
    message: string,
    options: InferwireErrorOptions = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    const known = Object.hasOwn(PROBLEMS, code) ? PROBLEMS[code as ProblemCode] : undefined
    this.code = code
    this.status = options.status ?? known?.status
    this.retryable =
      options.retryable ??
      known?.retryable ??
      (Object.hasOwn(RETRYABLE, code) && RETRYABLE[code as LocalCode])
    this.retryAfterMs = options.retryAfterMs
    this.body = options.body
    this.model = options.model
  }
}

/** An error's text, also of those that leave it empty (a connection tried on several addresses). */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const { code } = error as { code?: unknown }
  return error.message || (typeof code === 'string' ? code : error.name)
}

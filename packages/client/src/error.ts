// The error class of the SDK, for error replies and for failures on the client's side.
import { PROBLEMS, type ProblemCode } from '@inferwire/protocol'

/** The codes of failures on the client's side; all other codes are from the problem table. */
export type LocalCode =
  | 'no_connector'
  | 'not_authorized'
  | 'broker_unreachable'
  | 'broker_refused'
  | 'certificate_refused'
  | 'result_not_found'

/** All codes that this version defines. A newer connector may send other codes. */
export type InferwireErrorCode = ProblemCode | LocalCode

const RETRYABLE: Readonly<Record<LocalCode, boolean>> = {
  no_connector: true,
  not_authorized: false,
  broker_unreachable: true,
  broker_refused: false,
  certificate_refused: false,
  result_not_found: false,
}

/** Optional details of an error. */
export interface InferwireErrorOptions {
  readonly status?: number | undefined
  readonly retryable?: boolean | undefined
  readonly retryAfterMs?: number | undefined
  readonly body?: Uint8Array | undefined
  readonly model?: string | undefined
  readonly cause?: unknown
}

/** Thrown by `connect()` and the methods of a client. For an error reply, `message` is the reply's `error` text. */
export class InferwireError extends Error {
  override readonly name = 'InferwireError'
  /** Machine-readable; use this in program logic. */
  readonly code: InferwireErrorCode | (string & {})
  /** HTTP-like status; undefined for a `LocalCode`. */
  readonly status: number | undefined
  /** Whether the same request may succeed later. */
  readonly retryable: boolean
  /** Time to wait before a retry, in milliseconds. */
  readonly retryAfterMs: number | undefined
  /** The body of the error reply; undefined if there was no reply. */
  readonly body: Uint8Array | undefined
  /** The model of the request. */
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

/** Returns an error's message, or its code if the message is empty (for example after several addresses were tried). */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const { code } = error as { code?: unknown }
  return error.message || (typeof code === 'string' ? code : error.name)
}

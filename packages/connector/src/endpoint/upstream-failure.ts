// The error of a call that may succeed if it is repeated. It also indicates the server's state.
import { Problem, type ProblemCode, type ProblemOptions } from '@inferwire/protocol'

/**
 * What a failed call implies about the server's state.
 * - `unreachable`: no connection could be made, or the connection broke.
 * - `no-answer`: a gateway answered in place of the model (502, 504, or a 503 of its own).
 * - `starting`: the server, or Knative in front of it, does not accept requests yet (503).
 * - `busy`: the server rejected the request and sent Retry-After, or a gateway is full, which costs the model nothing.
 * - `rejected`: the server rejected the request without Retry-After, because it is full or the request expired in its
 *   queue. The call is not retried, because a retry would only add load.
 * - `refused`: a gateway or a sidecar refused the caller for a reason that may pass. It implies nothing about the server.
 */
export type FailureSign = 'unreachable' | 'no-answer' | 'starting' | 'busy' | 'rejected' | 'refused'

/** Further details of a failure. */
export interface FailureOptions extends ProblemOptions {
  /** The call is retried at most once, after this time. @default as often as the configuration allows */
  readonly retryOnceAfterMs?: number
  /** Whether `retryAfterMs` is meant for the client only, and the connector backs off instead. @default false */
  readonly backsOff?: boolean
}

/** The only errors that are retried. A model's own error for a request (400, 500, …) is a plain `Problem`. */
export class UpstreamFailure extends Problem {
  readonly sign: FailureSign
  /**
   * True even if the reply contains the server's own status 502 or 504, because the error is temporary. False only if
   * one retry has shown that the error persists.
   */
  override readonly retryable: boolean
  /** Whether the model may already have run; if so, a retry may run it a second time. */
  readonly maybeExecuted: boolean
  readonly retryOnceAfterMs: number | undefined
  readonly backsOff: boolean

  constructor(
    sign: FailureSign,
    maybeExecuted: boolean,
    code: ProblemCode,
    message: string,
    options: FailureOptions,
  ) {
    super(code, message, options)
    this.sign = sign
    this.maybeExecuted = maybeExecuted
    this.retryOnceAfterMs = options.retryOnceAfterMs
    this.backsOff = options.backsOff ?? false
    this.retryable = this.retryOnceAfterMs === undefined
  }
}

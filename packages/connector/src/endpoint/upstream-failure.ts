// A failed call that another try, or another moment, may mend: how far it got, and what it says of the server.
import { Problem, type ProblemCode, type ProblemOptions } from '@inferwire/protocol'

/**
 * What a failed call says of the server.
 * - `unreachable`: there was no connection, or it broke.
 * - `no-answer`: a gateway answered in the place of the model (502, 504, its own 503).
 * - `starting`: the server, or Knative in front of it, takes no requests yet (503).
 * - `busy`: the server turns this one away until a time that it names (Retry-After).
 * - `turned-away`: the server turns this one away and names no time: it is full, or the request's limit passed in its
 *   queue. Another call would only make it fuller, so there is none.
 */
export type FailureSign = 'unreachable' | 'no-answer' | 'starting' | 'busy' | 'turned-away'

/** Only these may be tried again. What a model says about a request (400, 500, …) is a plain `Problem`. */
export class UpstreamFailure extends Problem {
  readonly sign: FailureSign
  /** Also to the client, with the server's own 502 and 504: an answer that is not final. */
  override readonly retryable = true
  /** Whether the model may have run anyway, so that another try may run it twice. */
  readonly maybeExecuted: boolean

  constructor(
    sign: FailureSign,
    maybeExecuted: boolean,
    code: ProblemCode,
    message: string,
    options: ProblemOptions,
  ) {
    super(code, message, options)
    this.sign = sign
    this.maybeExecuted = maybeExecuted
  }
}

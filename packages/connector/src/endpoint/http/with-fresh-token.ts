// Sends a request a second time if the server rejects the token, and the credential has a new one.
import type { Deadline } from '../../step.ts'
import type { CallCredential } from '../upstream-options.ts'
import type { HttpAnswer } from './http-call.ts'

/** One request. */
export interface TokenCall {
  readonly credential: CallCredential
  /** Scheme, host and port of the server. */
  readonly origin: string
  readonly deadline: Deadline
  /** Sends the request with these headers of the credential. */
  readonly send: (proof: readonly string[]) => Promise<HttpAnswer>
  /** Whether it is safe to repeat the request after this answer, a 401 or 403. */
  readonly mayRepeat: (answer: HttpAnswer) => boolean
}

/**
 * Returns the answer. After a rejection, the token is renewed, because it may have been rotated. If it changed, the
 * request is repeated once.
 */
export async function withFreshToken(call: TokenCall): Promise<HttpAnswer> {
  const { credential, origin, deadline, send, mayRepeat } = call
  const used = await credential.headers(origin, deadline)
  const first = await send(used)
  const isRefused = first.status === 401 || first.status === 403
  // The token is renewed even if this request is not repeated, so that the next one has it.
  const hasNewToken = isRefused && (await credential.refresh?.(used, deadline)) === true
  if (!hasNewToken || !mayRepeat(first)) return first
  const second = await send(await credential.headers(origin, deadline))
  // The first connection may still be sending the body.
  return { ...second, isBodySent: false }
}

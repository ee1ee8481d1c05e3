// The answers of a gateway that does not forward a request, if the status shows the reason, for any transport.
import { Problem } from '@inferwire/protocol'
import { UpstreamFailure } from '../upstream-failure.ts'
import { FULL_RETRY_AFTER_MS } from './model-error.ts'

const CONTENT_TOO_LARGE = 413
const TOO_MANY_REQUESTS = 429

/**
 * Returns the same code as for a model server's answer with that status, without the gateway's web page. Undefined for
 * any other status.
 * @param retryAfterMs the time that the gateway asks the client to wait; undefined = the gateway names no time
 */
export function gatewayRefusal(
  status: number,
  detail: string,
  retryAfterMs: number | undefined,
): Problem | undefined {
  if (status === CONTENT_TOO_LARGE) {
    const sentence = 'The gateway in front of the model does not accept a request of this size.'
    const advice = "Raise the gateway's limit, such as client_max_body_size of nginx."
    return new Problem('upstream_error', sentence, { status, detail: `${detail}. ${advice}` })
  }
  if (status !== TOO_MANY_REQUESTS) return undefined
  const sign = retryAfterMs === undefined ? 'rejected' : 'busy'
  const sentence = 'The gateway in front of the model receives too many requests.'
  return new UpstreamFailure(sign, false, 'overloaded', sentence, {
    detail,
    retryAfterMs: retryAfterMs ?? FULL_RETRY_AFTER_MS,
  })
}

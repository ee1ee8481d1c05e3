// The problems of a call that ends without a gRPC status: a broken connection, a gateway's answer, a malformed response.
import { constants, type IncomingHttpHeaders } from 'node:http2'
import { Problem } from '@inferwire/protocol'
import { readRedirect } from '../http/redirect.ts'
import { retryAfterMs } from '../http/retry-after.ts'
import { unreachable } from '../http/unreachable.ts'
import { classifyRefusal } from '../refusal/classify-refusal.ts'
import { refusalProblem } from '../refusal/refusal-problem.ts'
import type { RefusalName } from '../refusal/refusals.ts'
import { UpstreamFailure } from '../upstream-failure.ts'
import { hasServiceTime } from './grpc-status.ts'

const INVALID = "The model server's response is not valid gRPC."

/**
 * The problem of a connection that ended before the server had sent its SETTINGS.
 * @param hasBeenReady whether the server has sent them on an earlier connection
 */
export function neverReady(error: Error | undefined, address: string, hasBeenReady: boolean): Problem {
  if (error === undefined && !hasBeenReady) {
    return refusalProblem('connection_closed', {
      detail: `${address}: the server closed the connection at once`,
    })
  }
  return notReady(error ?? new Error('the server closed the connection'), address, hasBeenReady)
}

function notReady(error: Error, address: string, hasBeenReady: boolean): Problem {
  const problem = unreachable(error, address, 'unsent', hasBeenReady)
  if ((error as NodeJS.ErrnoException).code !== 'ERR_HTTP2_ERROR') return problem
  const detail = `${address} does not speak gRPC (HTTP/2). protocolVersion grpc-v2 needs the server's gRPC port.`
  const sentence = "The model server's port does not speak gRPC."
  return new UpstreamFailure('unreachable', false, 'upstream_unreachable', sentence, { detail, cause: error })
}

/** The problem of a response that exceeds the limit. */
export function tooLarge(responseBytesMax: number, address: string): Problem {
  return new Problem(
    'response_too_large',
    `The model server's response is larger than ${responseBytesMax} bytes.`,
    { detail: `${address}. To allow larger responses, raise models.*.limits.responseBytesMax.` },
  )
}

/** The problem of a response that is not valid gRPC; `why` is for the operator's log. */
export function invalidFrames(address: string, why: string): Problem {
  return new Problem('upstream_invalid_response', INVALID, { detail: `${address}: ${why}` })
}

/** A response that is valid gRPC, except that its end is missing. */
export class IncompleteResponse extends Problem {
  constructor(address: string, why: string) {
    super('upstream_invalid_response', INVALID, { detail: `${address}: ${why}` })
  }
}

/** The problem of a stream that was reset, or whose connection broke. */
export function brokenCall(
  rstCode: number,
  error: Error | undefined,
  hasAnswered: boolean,
  address: string,
): Problem {
  const reason = [`RST_STREAM ${rstCode}`, error?.message].filter((part) => part !== undefined).join(', ')
  const detail = `${address}: ${reason}`
  // RFC 9113 §8.7: the server has not processed the request. A stream that a GOAWAY excludes ends with the same code.
  if (rstCode === constants.NGHTTP2_REFUSED_STREAM) {
    const sentence = 'The model server refused the call.'
    return new UpstreamFailure('unreachable', false, 'upstream_unreachable', sentence, { detail })
  }
  const sentence = hasAnswered
    ? 'The connection to the model server broke during its response.'
    : 'The connection to the model server broke before a response arrived.'
  return new UpstreamFailure('unreachable', true, 'upstream_unreachable', sentence, { detail })
}

// Smaller than the limit of any common gateway.
const LARGE_HEADER_BYTES = 8 * 1024

/**
 * The problem of a call that was reset although its server has never answered: Envoy does so if the header fields are
 * larger than its limit. Undefined for any other reason.
 */
export function tooLargeHeader(rstCode: number, headerBytes: number, address: string): Problem | undefined {
  if (rstCode !== constants.NGHTTP2_INTERNAL_ERROR || headerBytes < LARGE_HEADER_BYTES) return undefined
  const detail = `${address}: RST_STREAM ${rstCode} for a call with ${headerBytes} bytes of header fields`
  return refusalProblem('header_too_large', { detail })
}

/** The problem of a response with an HTTP status or a Content-Type that no gRPC server sends; undefined for any other. */
export function gatewayAnswer(headers: IncomingHttpHeaders, address: string): Problem | undefined {
  const status = Number(headers[':status'])
  const contentType = headers['content-type']
  if (status === 200 && contentType?.startsWith('application/grpc') === true) return undefined
  const shown = `${address}: HTTP status ${status}, ${contentType?.slice(0, 100) ?? 'no content-type'}`
  const redirect = readRedirect({ status, location: headers.location, address, host: undefined })
  const detail = redirect?.detail ?? shown
  const answer = {
    status,
    contentType,
    // The body is not read.
    text: headers['content-length'] === '0' ? '' : '…',
    redirect: redirect?.leadsTo,
    wwwAuthenticate: headers['www-authenticate'],
    hasServiceTime: hasServiceTime(headers),
    isOverloaded: headers['x-envoy-overloaded'] !== undefined,
  }
  const name = classifyRefusal(answer) ?? otherAnswer(status)
  if (name !== undefined) {
    return refusalProblem(name, { detail, retryAfterMs: retryAfterMs(headers['retry-after'], headers.date) })
  }
  return new Problem('upstream_invalid_response', 'The response is not from a gRPC server.', {
    detail: `${detail}. Check models.*.url: the port must be the server's gRPC port.`,
  })
}

// Gateways send these statuses with any body.
function otherAnswer(status: number): RefusalName | undefined {
  if (status === 401 || status === 403) return 'login_required'
  if (status === 413) return 'request_too_large'
  if (status === 429) return 'rate_limited'
  if (status === 503) return 'gateway_unavailable_page'
  return status === 502 || status === 504 ? 'gateway_error_page' : undefined
}

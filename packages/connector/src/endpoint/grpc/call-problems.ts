// The problems of a call that ends without a gRPC status: a broken connection, a gateway's answer, a malformed response.
import { constants, type IncomingHttpHeaders } from 'node:http2'
import { Problem } from '@inferwire/protocol'
import { gatewayRefusal } from '../http/gateway-refusal.ts'
import { retryAfterMs } from '../http/retry-after.ts'
import { unreachable } from '../http/unreachable.ts'
import { UpstreamFailure } from '../upstream-failure.ts'

const INVALID = "The model server's response is not valid gRPC."

/** The problem of a connection that ended before the server had sent its SETTINGS. */
export function neverReady(error: Error, address: string): Problem {
  const problem = unreachable(error, address, 'unsent')
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

/** The problem of a response with an HTTP status or a Content-Type that no gRPC server sends; undefined for any other. */
export function gatewayAnswer(headers: IncomingHttpHeaders, address: string): Problem | undefined {
  const status = Number(headers[':status'])
  const contentType = headers['content-type']
  if (status === 200 && contentType?.startsWith('application/grpc') === true) return undefined
  const detail = `${address}: HTTP status ${status}, ${contentType?.slice(0, 100) ?? 'no content-type'}`
  if (status >= 502 && status <= 504) {
    const sentence = 'The gateway in front of the model received no response from the model.'
    return new UpstreamFailure('no-answer', status !== 503, 'upstream_unreachable', sentence, { detail })
  }
  // A redirect leads to a login page, which some gateways send directly with status 403.
  if (status === 401 || status === 403 || (status >= 300 && status < 400)) {
    return new Problem(
      'unauthorized_upstream',
      "The gateway in front of the model rejected the connector's call.",
      {
        detail: `${detail}. Check models.*.credential, or use the model's in-mesh URL.`,
      },
    )
  }
  return (
    gatewayRefusal(status, detail, retryAfterMs(headers['retry-after'], headers.date)) ??
    new Problem('upstream_invalid_response', 'The response is not from a gRPC server.', {
      detail: `${detail}. Check models.*.url: the port must be the server's gRPC port.`,
    })
  )
}

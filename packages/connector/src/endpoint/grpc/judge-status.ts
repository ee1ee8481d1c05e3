// Converts the status of a gRPC call that failed into a Problem, like judge-answer.ts for HTTP.
import { Problem } from '@inferwire/protocol'
import type { ErrorText } from '../error-text.ts'
import { GATEWAY_TIMEOUT, NEVER_SENT, NO_SERVER } from '../gateway-texts.ts'
import { JSON_TYPE } from '../http/content-type.ts'
import { modelError } from '../http/model-error.ts'
import { UpstreamFailure } from '../upstream-failure.ts'
import { STATUS, statusName, type GrpcStatus } from './grpc-status.ts'

/** The call that ended with the status. */
export interface JudgedCall {
  /** Method and URL, for the operator's log. */
  readonly address: string
  readonly isReadiness: boolean
  readonly errorText: ErrorText
}

// The HTTP statuses that V2 servers use for the same errors; 500 for all other codes.
const HTTP_STATUSES: ReadonlyMap<number, number> = new Map([
  [STATUS.INVALID_ARGUMENT, 400],
  [STATUS.FAILED_PRECONDITION, 400],
  [STATUS.OUT_OF_RANGE, 400],
  [STATUS.NOT_FOUND, 404],
  [STATUS.ALREADY_EXISTS, 409],
  [STATUS.ABORTED, 409],
  [STATUS.RESOURCE_EXHAUSTED, 429],
  [STATUS.UNIMPLEMENTED, 501],
  [STATUS.UNAVAILABLE, 503],
])
// Match the error texts for a message above the size limit of a server; with any other text, RESOURCE_EXHAUSTED means
// that the server is full.
const REQUEST_TOO_LARGE = /\breceived message larger than max/i
const RESPONSE_TOO_LARGE = /\bsen[dt] message larger than max/i
// KServe and MLServer report these exceptions of Python with the code UNKNOWN.
const NOT_READY = /\bModelNot(?:Found|Ready)\b/

/** Returns the Problem for a status other than OK. After an `UpstreamFailure`, a retry may succeed. */
export function judgeStatus({ code, details }: GrpcStatus, call: JudgedCall): Problem {
  const exchange = `${call.address}: ${statusName(code)}`
  const detail = `${exchange} "${details.slice(0, 300).replaceAll(/\s+/g, ' ')}"`
  return (
    gatewayStatus(code, details, detail) ??
    serversStatus(code, details, detail, call) ??
    error(code, details, exchange, call)
  )
}

// Envoy and other gateways answer gRPC calls with a gRPC status.
function gatewayStatus(code: number, details: string, detail: string): Problem | undefined {
  if (code === STATUS.UNAVAILABLE && NO_SERVER.test(details)) {
    const sentence = 'The gateway in front of the model cannot reach any pod of the model.'
    return new UpstreamFailure('no-answer', !NEVER_SENT.test(details), 'upstream_unreachable', sentence, {
      detail,
    })
  }
  if (code !== STATUS.UNAUTHENTICATED && code !== STATUS.PERMISSION_DENIED) return undefined
  return new Problem(
    'unauthorized_upstream',
    "The gateway in front of the model rejected the connector's call.",
    {
      detail: `${detail}. Check models.*.credential, and the AuthorizationPolicy of the model's namespace.`,
    },
  )
}

function serversStatus(code: number, details: string, detail: string, call: JudgedCall): Problem | undefined {
  if (code === STATUS.DEADLINE_EXCEEDED) {
    return new Problem('deadline_exceeded', 'The deadline passed before the model server answered.', {
      detail,
    })
  }
  // The connector does not read the status of a call that it has cancelled itself.
  if (code === STATUS.CANCELLED) {
    const sentence = 'The model server cancelled the call.'
    return new UpstreamFailure('unreachable', true, 'upstream_unreachable', sentence, { detail })
  }
  if (code === STATUS.RESOURCE_EXHAUSTED && RESPONSE_TOO_LARGE.test(details)) {
    const sentence = "The response is larger than the model server's own limit."
    return new Problem('response_too_large', sentence, { detail })
  }
  if (call.isReadiness && code === STATUS.UNKNOWN && NOT_READY.test(details)) {
    return new UpstreamFailure('starting', false, 'model_not_ready', 'The model is not ready.', { detail })
  }
  return undefined
}

function error(code: number, details: string, exchange: string, call: JudgedCall): Problem {
  return modelError({
    status: httpStatusOf(code, details),
    // The body of an error over HTTP.
    body: Buffer.from(JSON.stringify({ error: details })),
    contentType: JSON_TYPE,
    retryAfterMs: undefined,
    exchange,
    isReadiness: call.isReadiness,
    errorText: call.errorText,
  })
}

function httpStatusOf(code: number, details: string): number {
  if (code === STATUS.RESOURCE_EXHAUSTED && REQUEST_TOO_LARGE.test(details)) return 413
  // Envoy sends one code for all its refusals; over HTTP, this one has the status 504.
  if (code === STATUS.UNAVAILABLE && GATEWAY_TIMEOUT.test(details)) return 504
  return HTTP_STATUSES.get(code) ?? 500
}

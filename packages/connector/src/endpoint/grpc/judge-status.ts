// Converts the status of a gRPC call that failed into a Problem, like judge-answer.ts for HTTP.
import { Problem } from '@inferwire/protocol'
import type { ErrorText } from '../error-text.ts'
import { JSON_TYPE } from '../http/content-type.ts'
import { modelError } from '../http/model-error.ts'
import { readRedirect } from '../http/redirect.ts'
import { classifyRefusal } from '../refusal/classify-refusal.ts'
import { refusalProblem } from '../refusal/refusal-problem.ts'
import type { ServiceTime } from '../refusal/service-time.ts'
import { UpstreamFailure } from '../upstream-failure.ts'
import { STATUS, statusName, type GrpcStatus } from './grpc-status.ts'

/** The call that ended with the status. */
export interface JudgedCall {
  /** Method and URL, for the operator's log. */
  readonly address: string
  readonly isReadiness: boolean
  readonly errorText: ErrorText
  /** The `:authority` that was sent, if it differs from the address. */
  readonly host?: string | undefined
  /** What the server's answers have shown; it is updated. */
  readonly serviceTime?: ServiceTime
}

// The HTTP statuses that V2 servers use for the same errors; 500 for all other codes.
const HTTP_STATUSES: ReadonlyMap<number, number> = new Map([
  [STATUS.INVALID_ARGUMENT, 400],
  [STATUS.FAILED_PRECONDITION, 400],
  [STATUS.OUT_OF_RANGE, 400],
  [STATUS.UNAUTHENTICATED, 401],
  [STATUS.PERMISSION_DENIED, 403],
  [STATUS.NOT_FOUND, 404],
  [STATUS.ALREADY_EXISTS, 409],
  [STATUS.ABORTED, 409],
  [STATUS.RESOURCE_EXHAUSTED, 429],
  [STATUS.UNIMPLEMENTED, 501],
  [STATUS.UNAVAILABLE, 503],
])
// Limit on the text of a status in the log.
const DETAILS_SHOWN_MAX = 256
// Match the error texts for a message above the size limit of a server; with any other text, RESOURCE_EXHAUSTED means
// that the server is full.
const REQUEST_TOO_LARGE = /\breceived message larger than max/i
const RESPONSE_TOO_LARGE = /\bsen[dt] message larger than max/i
// KServe and MLServer report these exceptions of Python with the code UNKNOWN.
const NOT_READY = /\bModelNot(?:Found|Ready)\b/

/** Returns the Problem for a status other than OK. After an `UpstreamFailure`, a retry may succeed. */
export function judgeStatus(status: GrpcStatus, call: JudgedCall): Problem {
  const { code, details } = status
  const exchange = `${call.address}: ${statusName(code)}`
  // The text may be a gateway's login page.
  const detail = `${exchange} "${details.slice(0, DETAILS_SHOWN_MAX).replaceAll(/\s+/g, ' ')}"`
  return (
    refusalOf(status, detail, call) ??
    unknownRefusal(status, detail) ??
    serversStatus(code, details, detail, call) ??
    error(code, details, exchange, call)
  )
}

// The HTTP statuses that Envoy translates to these codes if it answers a gRPC call itself.
const ENVOY_STATUSES: ReadonlyMap<number, number> = new Map([
  [STATUS.UNAUTHENTICATED, 401],
  [STATUS.PERMISSION_DENIED, 403],
  [STATUS.UNIMPLEMENTED, 404],
  [STATUS.UNAVAILABLE, 503],
])

function refusalOf(status: GrpcStatus, detail: string, call: JudgedCall): Problem | undefined {
  const { code, details, location, wwwAuthenticate, hasServiceTime, isOverloaded } = status
  const { address, host, serviceTime } = call
  // Envoy has one code for all statuses without a code of their own.
  const redirect =
    code === STATUS.UNKNOWN && location !== undefined
      ? readRedirect({ status: 302, location, address, host })
      : undefined
  const httpStatus = redirect === undefined ? envoyStatus(code, details) : 302
  if (httpStatus === undefined) return undefined
  // A server without Envoy reports an unknown method in the same way as Envoy reports an unknown route.
  if (code === STATUS.UNIMPLEMENTED && serviceTime?.isRemoved === true) return undefined
  const name = classifyRefusal(
    {
      status: httpStatus,
      contentType: undefined,
      text: details,
      redirect: redirect?.leadsTo,
      wwwAuthenticate,
      hasServiceTime,
      isOverloaded,
    },
    serviceTime?.isTelling,
  )
  if (name === undefined) return undefined
  serviceTime?.refused(name, hasServiceTime)
  return refusalProblem(name, { detail: redirect?.detail ?? detail })
}

function envoyStatus(code: number, details: string): number | undefined {
  if (code === STATUS.UNKNOWN) return details === 'Request Header Fields Too Large' ? 431 : undefined
  return ENVOY_STATUSES.get(code)
}

// The server itself, or a gateway other than Envoy. With Envoy's field, the answer is the model server's own.
function unknownRefusal({ code, hasServiceTime }: GrpcStatus, detail: string): Problem | undefined {
  if (code !== STATUS.UNAUTHENTICATED && code !== STATUS.PERMISSION_DENIED) return undefined
  if (hasServiceTime) return undefined
  return new Problem('unauthorized_upstream', "The model server rejected the connector's call.", {
    detail: `${detail}. Check models.*.credential.`,
  })
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
  return HTTP_STATUSES.get(code) ?? 500
}

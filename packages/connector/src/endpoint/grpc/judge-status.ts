// Converts the final status of a gRPC call that failed into a Problem, like judge-answer.ts for HTTP.
import { status as codes, type StatusObject } from '@grpc/grpc-js'
import { Problem } from '@inferwire/protocol'
import type { ErrorText } from '../error-text.ts'
import { NEVER_SENT, NO_SERVER } from '../gateway-texts.ts'
import { JSON_TYPE } from '../http/content-type.ts'
import { modelError } from '../http/model-error.ts'
import { unreachable } from '../http/unreachable.ts'
import { UpstreamFailure } from '../upstream-failure.ts'

/** The call that ended with the status. */
export interface JudgedCall {
  /** Method and URL, for the operator's log. */
  readonly address: string
  readonly isReadiness: boolean
  readonly errorText: ErrorText
  readonly responseBytesMax: number
  /** Whether the response had a message before the status. */
  readonly hasMessage: boolean
}

// The HTTP statuses that V2 servers use for the same errors; 500 for all other codes.
const HTTP_STATUSES: Readonly<Partial<Record<codes, number>>> = {
  [codes.INVALID_ARGUMENT]: 400,
  [codes.FAILED_PRECONDITION]: 400,
  [codes.OUT_OF_RANGE]: 400,
  [codes.NOT_FOUND]: 404,
  [codes.ALREADY_EXISTS]: 409,
  [codes.ABORTED]: 409,
  [codes.RESOURCE_EXHAUSTED]: 429,
  [codes.UNIMPLEMENTED]: 501,
  [codes.UNAVAILABLE]: 503,
}

// Texts of grpc-js, which has no other sign that it created the status itself.
const NO_CONNECTION = /^(?:round_robin: )?No connection established|^Name resolution failed|^Channel closed/
const NOT_PROCESSED = /^Stream refused by server/
const BROKEN_CONNECTION =
  /^Connection dropped$|^(?:read|write) (?:ECONNRESET|ETIMEDOUT|EPIPE)|^Received RST_STREAM with code|^Call cancelled$|^Bandwidth exhausted/
const HTTP_STATUS = /^Received HTTP status code (\d{3})/
const TOO_LARGE_HERE = /^Received message larger than max \(\d+ vs \d+\)|^Received message that decompresses/
const UNREADABLE =
  /^Received RST_STREAM with code 0 \(Call ended without gRPC status\)|^Failed to decompress|^Message length|^Unrecognized compress/
// A text of C++ servers and of servers in other languages.
const TOO_LARGE_THERE = /larger than max/

// KServe and MLServer send these errors of Python without a code of their own.
const NOT_READY_THERE = /\bModelNot(?:Found|Ready)\b/

/** Returns the Problem for a status other than OK. After an `UpstreamFailure`, a retry may succeed. */
export function judgeStatus({ code, details }: StatusObject, call: JudgedCall): Problem {
  const name = codes[code] ?? String(code)
  const exchange = `${call.address}: ${name}`
  const detail = `${exchange} "${details.slice(0, 300).replaceAll(/\s+/g, ' ')}"`
  return (
    ourOwnStatus(details, detail, call) ??
    gatewayStatus(code, details, detail) ??
    ownError(code, details, exchange, call)
  )
}

function ourOwnStatus(details: string, detail: string, call: JudgedCall): Problem | undefined {
  if (NO_CONNECTION.test(details)) return unreachable(connectionError(details), call.address, 'unsent')
  if (NOT_PROCESSED.test(details)) {
    return new UpstreamFailure(
      'unreachable',
      false,
      'upstream_unreachable',
      'The model server refused the call.',
      {
        detail,
      },
    )
  }
  if (UNREADABLE.test(details)) {
    return new Problem('upstream_invalid_response', "The model server's response is not valid gRPC.", {
      detail,
    })
  }
  if (BROKEN_CONNECTION.test(details)) {
    const sentence = call.hasMessage
      ? 'The connection to the model server broke during its response.'
      : 'The connection to the model server broke before a response arrived.'
    return new UpstreamFailure('unreachable', true, 'upstream_unreachable', sentence, { detail })
  }
  if (TOO_LARGE_HERE.test(details)) return tooLarge(call.responseBytesMax, call.address)
  return undefined
}

/** The problem of a response that exceeds the limit. */
export function tooLarge(responseBytesMax: number, address: string): Problem {
  return new Problem(
    'response_too_large',
    `The model server's response is larger than ${responseBytesMax} bytes.`,
    { detail: `${address}. To allow larger responses, raise models.*.limits.responseBytesMax.` },
  )
}

// grpc-js keeps only the message of the error that ended the connection.
function connectionError(details: string): Error {
  const text = details.replace(/^.*?Last error: /s, '')
  const code =
    /\b(E[A-Z]{4,}|EAI_AGAIN)\b/.exec(text)?.[1] ?? TLS_CODES.find(([pattern]) => pattern.test(text))?.[1]
  return Object.assign(new Error(text), code === undefined ? {} : { code })
}

const TLS_CODES: readonly (readonly [RegExp, string])[] = [
  [/SSL routines|SSL alert/, 'EPROTO'],
  [/does not match certificate's altnames/, 'ERR_TLS_CERT_ALTNAME_INVALID'],
  [/certificate has expired/, 'CERT_HAS_EXPIRED'],
  [/certificate is not yet valid/, 'CERT_NOT_YET_VALID'],
  [/self-signed certificate/, 'DEPTH_ZERO_SELF_SIGNED_CERT'],
  [/unable to (?:verify|get)/, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
  [/socket disconnected before secure TLS connection/, 'ECONNRESET'],
]

// Envoy and other gateways answer gRPC calls with a gRPC status; Kubeflow's login answers with an HTTP status.
function gatewayStatus(code: codes, details: string, detail: string): Problem | undefined {
  if (code === codes.UNAVAILABLE && NO_SERVER.test(details)) {
    const sentence = 'The gateway in front of the model cannot reach any of its pods.'
    return new UpstreamFailure('no-answer', !NEVER_SENT.test(details), 'upstream_unreachable', sentence, {
      detail,
    })
  }
  const httpStatus = Number(HTTP_STATUS.exec(details)?.[1])
  if (httpStatus >= 500) {
    const sentence = 'The gateway in front of the model received no response from it.'
    return new UpstreamFailure('no-answer', true, 'upstream_unreachable', sentence, { detail })
  }
  const isRefused = code === codes.UNAUTHENTICATED || code === codes.PERMISSION_DENIED
  if (isRefused || (httpStatus >= 300 && httpStatus < 400)) {
    return new Problem(
      'unauthorized_upstream',
      "The gateway in front of the model rejected the connector's call.",
      {
        detail: `${detail}. Check models.*.credential, and the AuthorizationPolicy of the model's namespace.`,
      },
    )
  }
  if (httpStatus > 0 && httpStatus !== 429) {
    return new Problem('upstream_invalid_response', 'The response is not from a gRPC server.', {
      detail: `${detail}. Check models.*.url: the port must be the server's gRPC port.`,
    })
  }
  return undefined
}

function ownError(code: codes, details: string, exchange: string, call: JudgedCall): Problem {
  if (code === codes.DEADLINE_EXCEEDED) {
    return new Problem('deadline_exceeded', 'The deadline passed before the model server answered.', {
      detail: `${exchange} "${details.slice(0, 300)}"`,
    })
  }
  if (code === codes.CANCELLED) {
    const sentence = 'The model server cancelled the call.'
    return new UpstreamFailure('unreachable', true, 'upstream_unreachable', sentence, { detail: exchange })
  }
  if (call.isReadiness && code === codes.UNKNOWN && NOT_READY_THERE.test(details)) {
    return new UpstreamFailure('starting', false, 'model_not_ready', 'The model is not ready.', {
      detail: `${exchange} "${details.slice(0, 300)}"`,
    })
  }
  const isTooLarge = code === codes.RESOURCE_EXHAUSTED && TOO_LARGE_THERE.test(details)
  const status = isTooLarge ? 413 : (HTTP_STATUSES[code] ?? 500)
  return modelError({
    status,
    // The body of an error over HTTP.
    body: Buffer.from(JSON.stringify({ error: details })),
    contentType: JSON_TYPE,
    retryAfterMs: undefined,
    exchange,
    isReadiness: call.isReadiness,
    errorText: call.errorText,
  })
}

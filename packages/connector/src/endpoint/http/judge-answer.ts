// Distinguishes a model's response from responses of gateways and login pages, and from errors sent with status 200.
import { Problem } from '@inferwire/protocol'
import type { EndpointResponse } from '../../step.ts'
import type { ErrorText } from '../error-text.ts'
import { NEVER_SENT, NO_SERVER } from '../gateway-texts.ts'
import { UpstreamFailure } from '../upstream-failure.ts'
import { isErrorIn200 } from './error-in-200.ts'
import { isWebPage, passable } from './content-type.ts'
import { gatewayRefusal } from './gateway-refusal.ts'
import { goodAnswer } from './good-answer.ts'
import { NO_BODY, type HttpAnswer } from './http-call.ts'
import { modelError } from './model-error.ts'
import { redirected } from './redirect.ts'
import { retryAfterMs } from './retry-after.ts'

/** The data about the request, in addition to its address. */
export interface Asked {
  /** The Host that was sent, if it differs from the address. */
  readonly host?: string | undefined
  /** Whether it was a readiness request. */
  readonly isReadiness?: boolean
  /** How much of an error's text is sent to clients. */
  readonly errorText: ErrorText
}

// Only the beginning of a body is searched for known texts.
const MARK_BYTES = 512

/**
 * Returns a successful response of the model, and throws for any other response.
 * @param address for the operator's log: the method, a space, and the URL
 * @throws Problem: `upstream_error` with the model server's own status and body, or another problem if the response
 * contains a known error text of a server or gateway. After an `UpstreamFailure`, a retry may succeed.
 */
export function judgeAnswer(given: HttpAnswer, address: string, asked: Asked): EndpointResponse {
  const { status } = given
  if (status >= 200 && status < 300) {
    const good = goodAnswer(given, address, asked.isReadiness ?? false)
    if (good.inferenceHeaderContentLength === undefined && isErrorIn200(good.body)) {
      throw modelErrorOf(given, 500, `${address}: ${status} with an error in the body:`, asked)
    }
    return good
  }
  // An error keeps its status, but an encoded body is dropped because clients could not read it.
  const answer = given.coding === undefined ? given : { ...given, body: NO_BODY }
  const { body } = answer
  if (status >= 300 && status < 400) throw redirected({ ...answer, address, host: asked.host })
  const start = Buffer.from(body.buffer, body.byteOffset, Math.min(body.length, MARK_BYTES)).toString('utf8')
  throw (
    refusedByGuard(answer, start, address) ??
    brokenGateway(answer, start, address) ??
    modelErrorOf(answer, status, `${address}: ${status}`, asked)
  )
}

function modelErrorOf(answer: HttpAnswer, status: number, exchange: string, asked: Asked): Problem {
  return modelError({
    status,
    body: answer.body,
    contentType: passable(answer.contentType),
    retryAfterMs: retryAfterMs(answer.retryAfter, answer.date),
    exchange,
    isReadiness: asked.isReadiness ?? false,
    errorText: asked.errorText,
  })
}

// Detects rejections by Kubeflow's gateways. The known texts were recorded from Envoy with Istio's filters, from
// oauth2-proxy and from Dex.
function refusedByGuard(answer: HttpAnswer, start: string, address: string): Problem | undefined {
  const { status, contentType, wwwAuthenticate, hasUpstreamServiceTime } = answer
  const refused = (sentence: string, action: string): Problem =>
    new Problem('unauthorized_upstream', sentence, {
      detail: `${address}: ${status} "${start.slice(0, 80).replaceAll(/\s+/g, ' ')}". ${action}`,
    })
  if (wwwAuthenticate?.includes('error="invalid_token"') === true && !hasUpstreamServiceTime) {
    return refused(
      "The gateway in front of the model rejected the connector's token.",
      'The quoted text contains the reason (expired, issuer, audience, keys): check the token file and the RequestAuthentication.',
    )
  }
  const isHtml = isWebPage(contentType)
  if ((status === 403 && isHtml) || (status === 401 && start === '{}' && !hasUpstreamServiceTime)) {
    return refused(
      'The gateway in front of the model requires a login.',
      "Configure models.*.credential (token-file), or use the model's in-mesh URL.",
    )
  }
  if (status === 403 && start.startsWith('RBAC: access denied')) {
    return refused(
      'The service mesh does not allow the connector to call this model.',
      hasUpstreamServiceTime
        ? "The token is valid; add an AuthorizationPolicy to the model's namespace that allows this identity."
        : "The gateway received no valid token, or no route matches the Host, or the model's pod has no ALLOW policy for the connector.",
    )
  }
  return undefined
}

function brokenGateway(answer: HttpAnswer, start: string, address: string): Problem | undefined {
  const { status, contentType, body } = answer
  const waitMs = retryAfterMs(answer.retryAfter, answer.date)
  const wait = waitMs === undefined ? {} : { retryAfterMs: waitMs }
  const detail = `${address}: ${status} "${start.slice(0, 120).replaceAll(/\s+/g, ' ')}"`
  const isPage = isWebPage(contentType)
  // The error pages of nginx and of cloud load balancers.
  if (isPage && status >= 502 && status <= 504) {
    const sentence = 'The gateway in front of the model received no response from the model.'
    return new UpstreamFailure('no-answer', status !== 503, 'upstream_unreachable', sentence, {
      detail,
      ...wait,
    })
  }
  if (isPage) {
    const sentence = "The response is a web page, not the model server's answer."
    return (
      gatewayRefusal(status, detail, waitMs) ?? new Problem('upstream_invalid_response', sentence, { detail })
    )
  }
  if (status === 503 && NO_SERVER.test(start)) {
    const sentence = 'The gateway in front of the model cannot reach any pod of the model.'
    return new UpstreamFailure('no-answer', !NEVER_SENT.test(start), 'upstream_unreachable', sentence, {
      detail,
      ...wait,
    })
  }
  if (status === 404 && body.length === 0 && contentType === undefined) {
    return new Problem('upstream_invalid_response', 'The gateway has no route to the model.', {
      detail: `${detail}. Check models.*.host: an Istio gateway routes by the exact Host.`,
    })
  }
  return undefined
}

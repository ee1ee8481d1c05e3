// Tells a model's answer from everything else that speaks HTTP: gateways, login pages, errors dressed as 200.
import { Problem } from '@inferwire/protocol'
import type { EndpointResponse } from '../../step.ts'
import type { ErrorText } from '../error-text.ts'
import { UpstreamFailure } from '../upstream-failure.ts'
import { isErrorIn200 } from './error-in-200.ts'
import { isWebPage, passable } from './content-type.ts'
import { goodAnswer } from './good-answer.ts'
import { NO_BODY, type HttpAnswer } from './http-call.ts'
import { modelError } from './model-error.ts'
import { redirected } from './redirect.ts'
import { retryAfterMs } from './retry-after.ts'

/** What is known of the request, beside its address. */
export interface Asked {
  /** The Host that was sent where it differs from the address. */
  readonly host?: string | undefined
  /** It asked whether the model is ready. */
  readonly isReadiness?: boolean
  /** What of the text of an error goes out. */
  readonly errorText: ErrorText
}

// Only the beginning is looked at for marks.
const MARK_BYTES = 512
// What gateways say for a model that has no server: Envoy (Istio) and Traefik. Envoy's `overflow` has one, which is full.
const NO_SERVER =
  /^(?:no healthy upstream|upstream connect error(?!.*reset reason: overflow)|no available server)/
// Without one of these reasons of Envoy's, the request may have reached a server before the connection broke.
const NEVER_SENT = /^no |reset reason: .*(?:connection failure|connection timeout)/

/**
 * @throws Problem: `upstream_error` with the model server's own status and body, or what the server or a gateway meant.
 * An `UpstreamFailure` may succeed when it is tried again, now or later.
 * `address` is for the operator's log: the method, a space, and the URL.
 */
export function judgeAnswer(given: HttpAnswer, address: string, asked: Asked): EndpointResponse {
  const { status } = given
  if (status >= 200 && status < 300) {
    const good = goodAnswer(given, address, asked.isReadiness ?? false)
    if (good.inferenceHeaderContentLength === undefined && isErrorIn200(good.body)) {
      throw modelErrorOf(given, 500, `${address}: ${status} with an error inside:`, asked)
    }
    return good
  }
  // An error keeps its status; an encoded body can be read by no one.
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

// What Kubeflow's guards say; the marks were recorded from Envoy with Istio's filters, oauth2-proxy and Dex.
function refusedByGuard(answer: HttpAnswer, start: string, address: string): Problem | undefined {
  const { status, contentType, wwwAuthenticate, hasUpstreamServiceTime } = answer
  const refused = (sentence: string, action: string): Problem =>
    new Problem('unauthorized_upstream', sentence, {
      detail: `${address}: ${status} "${start.slice(0, 80).replaceAll(/\s+/g, ' ')}". ${action}`,
    })
  if (wwwAuthenticate?.includes('error="invalid_token"') === true && !hasUpstreamServiceTime) {
    return refused(
      'The gateway in front of the model refused the token of the connector.',
      'The text says why (expired, issuer, audience, keys): check the token file and the RequestAuthentication.',
    )
  }
  const isHtml = isWebPage(contentType)
  if ((status === 403 && isHtml) || (status === 401 && start === '{}' && !hasUpstreamServiceTime)) {
    return refused(
      'The gateway in front of the model wants a login.',
      'Configure models.*.credential (token-file), or call the model inside the mesh.',
    )
  }
  if (status === 403 && start.startsWith('RBAC: access denied')) {
    return refused(
      'The mesh does not let the connector call this model.',
      hasUpstreamServiceTime
        ? 'The token is good; the namespace of the model needs an AuthorizationPolicy that allows this identity.'
        : 'No usable token reached the gateway, or no route matches the Host, or the pod has no ALLOW policy for us.',
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
    const sentence = 'The gateway in front of the model gets no answer from it.'
    return new UpstreamFailure('no-answer', status !== 503, 'upstream_unreachable', sentence, {
      detail,
      ...wait,
    })
  }
  if (isPage) {
    return new Problem('upstream_invalid_response', 'A web page answered instead of the model server.', {
      detail,
    })
  }
  if (status === 503 && NO_SERVER.test(start)) {
    const sentence = 'No pod of the model can be reached.'
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

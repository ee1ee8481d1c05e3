// Tells a model's answer from everything else that speaks HTTP: gateways, login pages, errors dressed as 200.
import { Problem } from '@inferwire/protocol'
import type { EndpointResponse } from '../../step.ts'
import { UpstreamFailure } from '../upstream-failure.ts'
import { goodAnswer, passable } from './good-answer.ts'
import type { HttpAnswer } from './http-call.ts'
import { retryAfterMs } from './retry-after.ts'

/** What is known of the request, beside its address. */
export interface Asked {
  /** It asked whether the model is ready. */
  readonly isReadiness?: boolean
}

// An error body that the requester gets to see; more than this is not a message.
const ERROR_BODY_BYTES_MAX = 64 * 1024
const NO_BODY = new Uint8Array(0)
// Only the beginning is looked at for marks.
const MARK_BYTES = 512
// What gateways say for a model that has no server: Envoy (Istio) and Traefik.
const NO_SERVER = /^(?:no healthy upstream|upstream connect error|no available server)/
// Without one of these reasons of Envoy's, the request may have reached a server before the connection broke.
const NEVER_SENT = /^no |reset reason: .*(?:connection failure|connection timeout|overflow)/

/**
 * @throws Problem: `upstream_error` with the model server's own status and body, or what a gateway meant. 429, 502, 503
 * and 504 are an `UpstreamFailure`: another try may mend them.
 * `address` is for the operator's log.
 */
export function judgeAnswer(given: HttpAnswer, address: string, asked: Asked = {}): EndpointResponse {
  if (given.status >= 200 && given.status < 300) {
    const good = goodAnswer(given, address, asked.isReadiness ?? false)
    if (good.inferenceHeaderContentLength === undefined) checkErrorIn200(good.body, good.status)
    return good
  }
  // An error keeps its status; what stands in its body can be read by nobody.
  const answer = given.coding === undefined ? given : { ...given, body: NO_BODY }
  const { status, body, contentType } = answer
  if (status >= 300 && status < 400) throw redirected(answer, address)
  const start = Buffer.from(body.buffer, body.byteOffset, Math.min(body.length, MARK_BYTES)).toString('utf8')
  const waitMs = retryAfterMs(answer.retryAfter, answer.date)
  throw (
    refusedByGuard(answer, start, address) ??
    brokenGateway(answer, start, address, waitMs) ??
    modelError(status, body, contentType, waitMs)
  )
}

// A 200 can be an error: KServe's batcher says {"message":"…","predictions":null}, Triton's generate {"error":"…"}.
// Both put the mark first; only then is the body parsed.
function checkErrorIn200(body: Uint8Array, status: number): void {
  const brace = skipSpace(body, 0, 1)
  if (body[brace] !== 0x7b) return
  const quote = skipSpace(body, brace + 1, 1)
  const isError = startsWith(body, quote, '"error"')
  if (!isError && !startsWith(body, quote, '"message"')) return
  if (body.length > ERROR_BODY_BYTES_MAX) return
  let parsed: { error?: unknown; message?: unknown; predictions?: unknown; outputs?: unknown }
  try {
    parsed = JSON.parse(
      Buffer.from(body.buffer, body.byteOffset, body.length).toString('utf8'),
    ) as typeof parsed
  } catch {
    return
  }
  const text = isError ? parsed.error : parsed.message
  const hasResult = (parsed.predictions ?? parsed.outputs ?? undefined) !== undefined
  if (typeof text !== 'string' || text === '' || hasResult) return
  throw new Problem('upstream_error', text.slice(0, 1000), {
    status: 500,
    body,
    contentType: 'application/json',
    detail: `the server answered ${status} with an error inside`,
  })
}

function redirected(answer: HttpAnswer, address: string): Problem {
  const location = answer.location ?? ''
  // Without the query and the fragment: a login's redirect has the OAuth `state` or a code there.
  const target = location.replace(/[?#].*$/s, '').slice(0, 200)
  const detail = `${address}: ${answer.status} to "${target}"; redirects are never followed`
  if (/\/dex\/|\/oauth2\/|login|auth/i.test(location)) {
    return new Problem('unauthorized_upstream', 'The gateway in front of the model wants a login.', {
      detail: `${detail}. Configure models.*.credential (token-file), or call the model inside the mesh.`,
    })
  }
  return new Problem('upstream_invalid_response', 'The model server answered with a redirect.', {
    detail: `${detail}. Check models.*.url.`,
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
  const isHtml = /^text\/html/i.test(contentType ?? '')
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

function brokenGateway(
  answer: HttpAnswer,
  start: string,
  address: string,
  waitMs: number | undefined,
): Problem | undefined {
  const { status, contentType, body } = answer
  const wait = waitMs === undefined ? {} : { retryAfterMs: waitMs }
  const detail = `${address}: ${status} "${start.slice(0, 120).replaceAll(/\s+/g, ' ')}"`
  const isPage = /^text\/html/i.test(contentType ?? '')
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

function modelError(
  status: number,
  body: Uint8Array,
  contentType: string | undefined,
  retryAfter: number | undefined,
): Problem {
  const isShown = body.length > 0 && body.length <= ERROR_BODY_BYTES_MAX
  const options = {
    status,
    ...(retryAfter === undefined ? {} : { retryAfterMs: retryAfter }),
    ...(isShown ? { body, contentType: passable(contentType) } : {}),
  }
  // KServe answers 503 while a known model loads; Knative when too many requests wait for a pod.
  if (status === 503) {
    return new UpstreamFailure('starting', false, 'model_not_ready', 'The model is not ready.', options)
  }
  const sentence = `The model server answered with status ${status}.`
  if (status === 429) return new UpstreamFailure('busy', false, 'upstream_error', sentence, options)
  // The gateway may have given up on a model that runs.
  if (status === 502 || status === 504) {
    return new UpstreamFailure('no-answer', true, 'upstream_error', sentence, options)
  }
  return new Problem('upstream_error', sentence, options)
}

function skipSpace(body: Uint8Array, from: number, step: 1 | -1): number {
  let index = from
  while (body[index] === 0x20 || body[index] === 0x0a || body[index] === 0x0d || body[index] === 0x09)
    index += step
  return index
}

function startsWith(body: Uint8Array, offset: number, ascii: string): boolean {
  for (let index = 0; index < ascii.length; index++) {
    if (body[offset + index] !== ascii.charCodeAt(index)) return false
  }
  return true
}

// Recognizes refusals of gateways and service meshes. The texts were recorded from Envoy with Istio's filters, from
// oauth2-proxy and from Dex.
import { isWebPage } from '../http/content-type.ts'
import type { RefusalName } from './refusals.ts'

/** An unsuccessful answer, or a web page, over HTTP or gRPC. */
export interface RefusedAnswer {
  /** The HTTP status. For gRPC, the status that Envoy translates to the gRPC code. */
  readonly status: number
  /** Undefined over gRPC, where all answers have the same. */
  readonly contentType: string | undefined
  /** The beginning of the body, or of the message of a gRPC status. Only the first 256 characters are read. */
  readonly text: string
  /** Where a redirect leads; undefined if the answer is not a redirect. */
  readonly redirect: 'login' | 'elsewhere' | undefined
  readonly wwwAuthenticate: string | undefined
  /** Whether the answer has the field `x-envoy-upstream-service-time`: it came from behind the first Envoy. */
  readonly hasServiceTime: boolean
  /** Whether the answer has the field `x-envoy-overloaded`. */
  readonly isOverloaded: boolean
}

const TEXT_CHARACTERS_MAX = 256

/**
 * Returns the refusal; undefined if the answer is the model server's own. The first matching rule applies.
 * @param isServiceTimeTelling false if the field `x-envoy-upstream-service-time` is known to have no meaning: a proxy
 * removes it from all answers, or the connector's own sidecar adds it to all answers
 */
export function classifyRefusal(answer: RefusedAnswer, isServiceTimeTelling = true): RefusalName | undefined {
  const text = answer.text.slice(0, TEXT_CHARACTERS_MAX).trim()
  const isFromBehind = isServiceTimeTelling && answer.hasServiceTime
  const seen: Seen = {
    ...answer,
    text,
    isFromBehind,
    isServiceTimeTelling,
    isBare: answer.text === '' && answer.contentType === undefined && !isFromBehind,
  }
  return (
    refusedLogin(seen) ??
    refusedToken(seen) ??
    refusedCaller(seen) ??
    refusedByPage(seen) ??
    refusedByProxy(seen)
  )
}

interface Seen extends RefusedAnswer {
  readonly isFromBehind: boolean
  readonly isServiceTimeTelling: boolean
  /** Whether the answer is empty, and the first Envoy sent it. */
  readonly isBare: boolean
}

function refusedLogin(seen: Seen): RefusalName | undefined {
  const { status, text, redirect, contentType, wwwAuthenticate, isFromBehind } = seen
  if (redirect !== undefined) return redirect === 'login' ? 'login_required' : 'redirect'
  // Over gRPC, the page is the message of the status. A page from behind the gateway is not the gateway's login.
  const isPage = isWebPage(contentType) || /^<!doctype/i.test(text)
  if (status === 403 && isPage && !isFromBehind) return 'login_required'
  if (status !== 401) return undefined
  const isProxyLogin = text === '{}' && wwwAuthenticate === undefined && !isFromBehind
  return isProxyLogin || text.startsWith('Jwt is missing') ? 'login_required' : undefined
}

// Envoy's texts. Those that begin with `Jwt` and have no rule of their own are found by the header field.
const TOKEN_TEXTS: readonly (readonly [RegExp, RefusalName])[] = [
  [/^Jwt is expired/, 'token_expired'],
  [/^Jwt not yet valid/, 'token_not_yet_valid'],
  [/^Jwt issuer is not configured/, 'token_issuer_unknown'],
  [/^Audiences in Jwt/, 'token_audience_wrong'],
  [/^Jwks doesn't have key|^Jwks remote fetch/, 'token_keys_unknown'],
  [/^Jwt |^Jwks /, 'token_rejected'],
]

// A wrong audience has the status 403. The mark is the header field; a model server's own error has the field and a
// text of its own.
function refusedToken({
  status,
  text,
  contentType,
  wwwAuthenticate,
  isFromBehind,
}: Seen): RefusalName | undefined {
  if (status !== 401 && status !== 403) return undefined
  if (wwwAuthenticate?.includes('error="invalid_token"') !== true) return undefined
  const known = TOKEN_TEXTS.find(([pattern]) => pattern.test(text))?.[1]
  const isPlain = contentType === undefined || /^text\/plain/i.test(contentType)
  return known ?? (isPlain && !isFromBehind ? 'token_rejected' : undefined)
}

function refusedCaller(seen: Seen): RefusalName | undefined {
  const { status, text, isServiceTimeTelling, isFromBehind, isBare } = seen
  if (status === 403 && text.startsWith('RBAC: access denied')) {
    if (!isServiceTimeTelling) return 'mesh_denied'
    return isFromBehind ? 'predictor_denied' : 'gateway_denied'
  }
  if (status === 403 && isBare) return 'login_service_down'
  if (status === 404 && isBare) return 'no_route'
  return undefined
}

function refusedByPage({ status, contentType, isFromBehind }: Seen): RefusalName | undefined {
  if (!isWebPage(contentType)) return undefined
  // The model server's own error page.
  if (isFromBehind && status >= 500) return undefined
  if (status === 413) return 'request_too_large'
  if (status === 429) return 'rate_limited'
  // The error pages of nginx and of cloud load balancers.
  if (status === 502 || status === 504) return 'gateway_error_page'
  return status === 503 ? 'gateway_unavailable_page' : 'web_page'
}

function refusedByProxy(seen: Seen): RefusalName | undefined {
  const { status, text, isOverloaded, isFromBehind } = seen
  if (isOverloaded) return 'gateway_full'
  if (status === 431 && !isFromBehind) return 'header_too_large'
  if (status === 504 && text.startsWith('request timeout')) return 'revision_timeout'
  if (status !== 503 && status !== 504) return undefined
  // Over gRPC, Envoy has one code for all of these.
  if (text.startsWith('upstream request timeout')) return 'gateway_timeout'
  if (status === 504) return undefined
  if (/^no (?:healthy upstream|available server)/.test(text)) return 'no_pod'
  if (text.startsWith('pending request queue full')) return 'queue_full'
  if (text.startsWith('context deadline exceeded')) return 'queue_timeout'
  return text.startsWith('upstream connect error') ? refusedConnection(text) : undefined
}

function refusedConnection(text: string): RefusalName {
  if (text.includes('reset reason: overflow')) return 'gateway_full'
  if (text.includes('TLS_error')) return 'tls_mismatch'
  return /reset reason: .*connection (?:failure|timeout)/.test(text) ? 'pod_unreachable' : 'connection_reset'
}

// Reads the token from an issuer's answer, or names the reason why there is none. No message contains a secret.
import type { Secret } from '../config/index.ts'
import type { IssuerAnswer } from './issuer-call.ts'
import { IssuerError, remedyFor } from './issuer-error.ts'
import type { FetchedToken } from './renewed-token.ts'
import { lifetimeMsOf } from './token-lifetime.ts'

/** What is known about the request. */
export interface AskedIssuer {
  readonly tokenUrl: string
  /** The member of the answer that contains the token to send. */
  readonly send: 'access_token' | 'id_token'
  /** Removed from the issuer's texts, which may repeat parts of the request. */
  readonly secrets: readonly Secret[]
}

type Answer = Readonly<Record<string, unknown>>

const TOKEN_BYTES_MAX = 16 * 1024
const TEXT_LENGTH_MAX = 200
// Statuses after which the same request may succeed later, in addition to 5xx.
const TEMPORARY = new Set([408, 425, 429])
const RETRY_AFTER_MAX_SECONDS = 3_600

/** Returns the token. @throws IssuerError for any other answer */
export function readTokenAnswer(answer: IssuerAnswer, asked: AskedIssuer): FetchedToken {
  const { status } = answer
  const members = parsed(answer.text)
  if (status !== 200) throw refusal(answer, members, asked)
  if (members === undefined) throw notJson(answer, asked)
  const token = members[asked.send]
  if (typeof token !== 'string') throw withoutToken(members, asked)
  if (!/^[\x21-\x7e]+$/.test(token) || token.length > TOKEN_BYTES_MAX) {
    const limit = `at most ${TOKEN_BYTES_MAX} visible ASCII characters`
    throw new IssuerError(
      `${placeOf(asked)}: the ${asked.send} cannot be sent in a header; expected ${limit}`,
      true,
    )
  }
  if (asked.send === 'access_token') checkTokenType(members, asked)
  const facts = {
    token,
    expiresIn: members['expires_in'],
    isAccessToken: asked.send === 'access_token',
    wallClockMs: Date.now(),
  }
  // Istio's filter compares the scheme case-sensitively.
  return { headers: ['authorization', `Bearer ${token}`], lifetimeMs: lifetimeMsOf(facts) }
}

function placeOf({ tokenUrl }: AskedIssuer): string {
  const { origin, pathname } = new URL(tokenUrl)
  return `POST ${origin}${pathname}`
}

// RFC 6749 §7.1: a client must not use a token whose type it does not know. RFC 8693 §2.2.1: `N_A` is the type of a
// token that is not an access token, such as an ID token; a server may accept it as a bearer token.
function checkTokenType(members: Answer, asked: AskedIssuer): void {
  const type = members['token_type']
  if (type === undefined || (typeof type === 'string' && /^(?:bearer|n_a)$/i.test(type))) return
  throw new IssuerError(
    `${placeOf(asked)}: the token has the type ${shown(type, asked)}; expected Bearer`,
    true,
  )
}

function withoutToken(members: Answer, asked: AskedIssuer): IssuerError {
  const remedy =
    asked.send === 'id_token' && typeof members['access_token'] === 'string'
      ? 'Add openid to scope, or set send: access_token.'
      : 'Is it a token endpoint?'
  return new IssuerError(`${placeOf(asked)}: 200 without ${asked.send}. ${remedy}`, true)
}

function refusal(answer: IssuerAnswer, members: Answer | undefined, asked: AskedIssuer): IssuerError {
  const { status, location } = answer
  const isTemporary = status >= 500 || TEMPORARY.has(status)
  const place = `${placeOf(asked)}: ${status}`
  if (status >= 300 && status < 400) {
    const target = location === undefined ? '' : ` to ${shown(withoutQuery(location), asked)}`
    return new IssuerError(`${place}, a redirect${target}, which is not followed. Check tokenUrl.`, true)
  }
  const code = members?.['error']
  if (typeof code === 'string') {
    const description = members?.['error_description']
    const text = description === undefined ? '' : ` ${shown(description, asked)}`
    return new IssuerError(
      `${place} ${shown(code, asked)}${text}. ${remedyFor(code)}`,
      !isTemporary,
      retryAfterMs(answer),
    )
  }
  const what = isWebPage(answer) ? ', a web page' : ''
  const remedy = isTemporary ? 'The connector tries again.' : 'Check tokenUrl.'
  return new IssuerError(
    `${place}${what}, without an OAuth error. ${remedy}`,
    !isTemporary,
    retryAfterMs(answer),
  )
}

function notJson(answer: IssuerAnswer, asked: AskedIssuer): IssuerError {
  const what = isWebPage(answer) ? 'a web page' : 'no JSON object'
  const place = `${placeOf(asked)}: 200 with ${what} instead of a token`
  return new IssuerError(`${place}. Check tokenUrl: it must be the token endpoint, not a login page.`, true)
}

function isWebPage({ contentType, text }: IssuerAnswer): boolean {
  return /^\s*text\/html\b/i.test(contentType) || /^\s*<(?:!doctype|html)/i.test(text)
}

function parsed(text: string): Answer | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Answer)
      : undefined
  } catch {
    return undefined
  }
}

// RFC 9110 §10.2.3; a date is rare, and the back-off replaces it.
function retryAfterMs({ retryAfter }: IssuerAnswer): number | undefined {
  if (retryAfter === undefined || !/^\d{1,6}$/.test(retryAfter)) return undefined
  return Math.min(Number(retryAfter), RETRY_AFTER_MAX_SECONDS) * 1_000
}

// The query of a login URL may contain a state or a nonce.
function withoutQuery(location: string): string {
  return location.replace(/[?#].*$/s, '')
}

// Quotes the issuer's text, without control characters, without the request's secrets, and without anything that has
// the form of a JWT.
function shown(text: unknown, { secrets }: AskedIssuer): string {
  let clean = typeof text === 'string' ? text : JSON.stringify(text)
  for (const secret of secrets) {
    const value = secret.reveal()
    for (const form of [value, encodeURIComponent(value)]) clean = clean.replaceAll(form, '***')
  }
  clean = clean.replaceAll(/[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*/g, '***')
  return JSON.stringify(clean.slice(0, TEXT_LENGTH_MAX)).replaceAll(/[\u007f-\u009f\u2028\u2029]/g, '\ufffd')
}

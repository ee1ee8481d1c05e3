// Tests what each answer of a gateway is called, with bytes that were recorded from the real ones.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { classifyRefusal, type RefusedAnswer } from './classify-refusal.ts'
import { REFUSALS, type RefusalName } from './refusals.ts'

const INVALID = 'Bearer realm="http://iris.alice.example.com/v1/models/iris:predict", error="invalid_token"'
const RESET = 'upstream connect error or disconnect/reset before headers. reset reason: '
const PLAIN = 'text/plain'
const HTML = 'text/html; charset=utf-8'

function answer(given: Partial<RefusedAnswer>): RefusedAnswer {
  return {
    status: 503,
    contentType: undefined,
    text: '',
    redirect: undefined,
    wwwAuthenticate: undefined,
    hasServiceTime: false,
    isOverloaded: false,
    ...given,
  }
}

const token = (text: string, status = 401): Partial<RefusedAnswer> => ({
  status,
  contentType: PLAIN,
  text,
  wwwAuthenticate: INVALID,
})

test.each<[string, Partial<RefusedAnswer>, RefusalName | undefined]>([
  ['a redirect to a login', { status: 302, redirect: 'login' }, 'login_required'],
  ['another redirect', { status: 301, redirect: 'elsewhere' }, 'redirect'],
  ['the login page', { status: 403, contentType: HTML, text: '\n<!DOCTYPE html>' }, 'login_required'],
  ['the login page over gRPC', { status: 403, text: '\n<!DOCTYPE html>' }, 'login_required'],
  ['401 of an API path', { status: 401, contentType: 'application/json', text: '{}' }, 'login_required'],
  ['no token', { status: 401, contentType: PLAIN, text: 'Jwt is missing' }, 'login_required'],
  ['an expired token', token('Jwt is expired'), 'token_expired'],
  ['a token of the future', token('Jwt not yet valid'), 'token_not_yet_valid'],
  ['an unknown issuer', token('Jwt issuer is not configured'), 'token_issuer_unknown'],
  ['a wrong audience', token('Audiences in Jwt are not allowed', 403), 'token_audience_wrong'],
  ['an unknown key', token("Jwks doesn't have key to match kid or alg from Jwt"), 'token_keys_unknown'],
  ['keys that cannot be fetched', token('Jwks remote fetch is failed'), 'token_keys_unknown'],
  ['a wrong signature', token('Jwt verification fails'), 'token_rejected'],
  ['a garbled token', token('Jwt header is an invalid Base64url encoded'), 'token_rejected'],
  ['another text about a token', token('opaque tokens are not supported'), 'token_rejected'],
  ['RBAC at the gateway', { status: 403, text: 'RBAC: access denied' }, 'gateway_denied'],
  [
    'RBAC behind the gateway',
    { status: 403, text: 'RBAC: access denied', hasServiceTime: true },
    'predictor_denied',
  ],
  ['an empty 403', { status: 403 }, 'login_service_down'],
  ['an empty 404', { status: 404 }, 'no_route'],
  ['the dashboard', { status: 404, contentType: HTML, text: '<!DOCTYPE html>' }, 'web_page'],
  ['a web page with 200', { status: 200, contentType: HTML, text: '<html>' }, 'web_page'],
  ['a page for a large request', { status: 413, contentType: HTML, text: '<html>' }, 'request_too_large'],
  ['a page for many requests', { status: 429, contentType: HTML, text: '<html>' }, 'rate_limited'],
  ['a page with 502', { status: 502, contentType: HTML, text: '<html>' }, 'gateway_error_page'],
  ['a page with 503', { status: 503, contentType: HTML, text: '<html>' }, 'gateway_unavailable_page'],
  ['an overloaded Envoy', { text: `${RESET}overflow`, isOverloaded: true }, 'gateway_full'],
  ['an overflow without its field', { text: `${RESET}overflow` }, 'gateway_full'],
  ['no pod', { text: 'no healthy upstream' }, 'no_pod'],
  ['no pod behind Traefik', { text: 'no available server' }, 'no_pod'],
  ['a pod without mTLS of the gateway', { text: `${RESET}connection termination` }, 'connection_reset'],
  ['a pod that is down', { text: `${RESET}remote connection failure` }, 'pod_unreachable'],
  [
    'a pod that is down, older',
    {
      text: `${RESET}remote connection failure, transport failure reason: delayed connect error: Connection refused`,
    },
    'pod_unreachable',
  ],
  [
    'a gateway with mTLS and a pod without',
    {
      text: `${RESET}remote connection failure, transport failure reason: TLS_error:|268435703:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER`,
    },
    'tls_mismatch',
  ],
  ['a slow model', { status: 504, text: 'upstream request timeout' }, 'gateway_timeout'],
  ['a slow model over gRPC', { status: 503, text: 'upstream request timeout' }, 'gateway_timeout'],
  ['a slow model on Knative', { status: 504, text: 'request timeout' }, 'revision_timeout'],
  ['a full queue of Knative', { text: 'pending request queue full\n' }, 'queue_full'],
  ['a long wait in the queue of Knative', { text: 'context deadline exceeded' }, 'queue_timeout'],
  ['large header fields', { status: 431, text: 'Request Header Fields Too Large' }, 'header_too_large'],
  // The model server's own answers.
  [
    'its 401',
    {
      status: 401,
      contentType: 'application/json',
      text: '{"error":"x"}',
      wwwAuthenticate: 'Bearer realm="model"',
      hasServiceTime: true,
    },
    undefined,
  ],
  ['its 401 for a token', { ...token('expired'), hasServiceTime: true }, undefined],
  ['its empty 403', { status: 403, hasServiceTime: true }, undefined],
  ['its empty 404', { status: 404, hasServiceTime: true }, undefined],
  ['its 404', { status: 404, contentType: 'application/json', text: '{"error":"x"}' }, undefined],
  ['its 503', { contentType: 'application/json', text: '{"error":"not ready"}' }, undefined],
  [
    'its error page with 500',
    { status: 500, contentType: HTML, text: '<html>', hasServiceTime: true },
    undefined,
  ],
  [
    'its error page with 502',
    { status: 502, contentType: HTML, text: '<html>', hasServiceTime: true },
    undefined,
  ],
  [
    'its page with 403',
    { status: 403, contentType: HTML, text: '<!doctype html>', hasServiceTime: true },
    'web_page',
  ],
  ['its page with 403 over gRPC', { status: 403, text: '<!doctype html>', hasServiceTime: true }, undefined],
  ['its 431', { status: 431, hasServiceTime: true }, undefined],
  ['its 504', { status: 504, text: 'no healthy upstream' }, undefined],
])('%s', (_what, given, refusal) => {
  expect(classifyRefusal(answer(given))).toBe(refusal)
})

test('if x-envoy-upstream-service-time has no meaning, it decides nothing', () => {
  for (const hasServiceTime of [true, false]) {
    const rbac = answer({ status: 403, text: 'RBAC: access denied', hasServiceTime })
    expect(classifyRefusal(rbac, false)).toBe('mesh_denied')
    expect(classifyRefusal(answer({ status: 403, hasServiceTime }), false)).toBe('login_service_down')
    expect(classifyRefusal(answer({ status: 404, hasServiceTime }), false)).toBe('no_route')
  }
})

test('reads only the beginning of a long text', () => {
  const page = answer({ status: 403, text: `<!DOCTYPE html>${'x'.repeat(72_000)}` })
  expect(classifyRefusal(page)).toBe('login_required')
  expect(classifyRefusal(answer({ text: `upstream connect error${' '.repeat(300)}overflow` }))).toBe(
    'connection_reset',
  )
})

test('returns a name of the table, or undefined, for any answer', () => {
  const text = fc.oneof(fc.string(), fc.constantFrom('Jwt is expired', '{}', `${RESET}overflow`))
  const property = fc.property(
    fc.record({
      status: fc.integer({ min: 200, max: 599 }),
      contentType: fc.option(fc.oneof(fc.string(), fc.constantFrom(HTML, PLAIN)), { nil: undefined }),
      text,
      redirect: fc.constantFrom(undefined, 'login' as const, 'elsewhere' as const),
      wwwAuthenticate: fc.option(fc.oneof(fc.string(), fc.constant(INVALID)), { nil: undefined }),
      hasServiceTime: fc.boolean(),
      isOverloaded: fc.boolean(),
    }),
    fc.boolean(),
    (given, isTelling) => {
      const name = classifyRefusal(given, isTelling)
      if (name !== undefined) expect(REFUSALS).toHaveProperty(name)
    },
  )
  fc.assert(property, { numRuns: 2_000 })
})

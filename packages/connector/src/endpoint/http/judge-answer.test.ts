import type { ProblemCode } from '@inferwire/protocol'
import { Problem } from '@inferwire/protocol'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { HttpAnswer } from './http-call.ts'
import { judgeAnswer } from './judge-answer.ts'
import { UpstreamFailure } from '../upstream-failure.ts'

const ADDRESS = 'POST http://iris.models.svc/v1/models/iris:predict'

interface Said extends Partial<Omit<HttpAnswer, 'body'>> {
  readonly body?: string
}

function answer({ body = '{"predictions":[1]}', ...rest }: Said): HttpAnswer {
  return {
    status: 200,
    contentType: 'application/json',
    inferenceHeaderContentLength: undefined,
    retryAfter: undefined,
    date: undefined,
    location: undefined,
    wwwAuthenticate: undefined,
    hasUpstreamServiceTime: false,
    isOverloaded: false,
    coding: undefined,
    isBodySent: true,
    ...rest,
    body: Buffer.from(body),
  }
}

function problemOf(said: Said): Problem {
  try {
    judgeAnswer(answer(said), ADDRESS, { errorText: 'first-line' })
  } catch (error) {
    return error as Problem
  }
  throw new Error('The response was accepted.')
}

const LOGIN = '<!DOCTYPE html><title>Sign in</title>'
const BINARY = { inferenceHeaderContentLength: '2', body: '{}\u0001' }

test.each<[string, Said, string]>([
  ['JSON', {}, 'application/json'],
  ['JSON with parameters', { contentType: 'application/json; charset=utf-8' }, 'application/json'],
  ['JSON with a vendor type', { contentType: 'application/vnd.x+json' }, 'application/vnd.x+json'],
  ['JSON that Go labelled as text', { contentType: 'text/plain; charset=utf-8' }, 'application/json'],
  ['JSON without a type', { contentType: undefined }, 'application/octet-stream'],
  ['a JSON array', { body: ' [1]\n' }, 'application/json'],
  ['text', { contentType: 'text/plain', body: 'ok' }, 'text/plain'],
  [
    'binary tensors, which KServe sends without a type',
    { ...BINARY, contentType: undefined },
    'application/octet-stream',
  ],
  ['an image', { contentType: 'image/png', body: '\u0089PNG' }, 'image/png'],
  ['JSON with a nested member "error"', { body: '{"predictions":[{"error":1}]}' }, 'application/json'],
  ['an unusual 2xx status', { status: 207 }, 'application/json'],
  ['a message and a score', { body: '{"message":"Part 17 is fine.","score":0.93}' }, 'application/json'],
  ['an error that is a result', { body: '{"error":"bearing worn","confidence":0.8}' }, 'application/json'],
  ['a message alone', { body: '{"message":"Hello."}' }, 'application/json'],
])('accepts a successful response: %s', (_what, said, contentType) => {
  const given = answer(said)
  const good = judgeAnswer(given, ADDRESS, { errorText: 'first-line' })
  expect(good).toMatchObject({ status: given.status, contentType })
  // The body is not copied.
  expect(good.body).toBe(given.body)
})

test.each<[string, Said, ProblemCode, number]>([
  ['a web page', { contentType: 'text/html', body: LOGIN }, 'upstream_invalid_response', 502],
  ['truncated JSON', { body: '{"predictions":[1' }, 'upstream_invalid_response', 502],
  ['text labelled as JSON', { body: 'ok' }, 'upstream_invalid_response', 502],
  ['an empty body', { body: '' }, 'upstream_invalid_response', 502],
  ['only white space', { body: ' \n\t ' }, 'upstream_invalid_response', 502],
  ['an error with status 200', { body: '{"error":"boom"}' }, 'upstream_error', 500],
  ['an empty redirect', { status: 302 }, 'upstream_invalid_response', 502],
  ['a redirect to a login', { status: 302, location: '/dex/auth?x=1' }, 'unauthorized_upstream', 502],
  [
    'a redirect of a model "author" to its own path with a slash',
    { status: 307, location: 'http://iris.models.svc/v1/models/author:predict/' },
    'upstream_invalid_response',
    502,
  ],
  ['an error of 70 kB with status 200', { body: `{"error":"${'x'.repeat(70_000)}"}` }, 'upstream_error', 500],
  ['a permanent redirect', { status: 301, location: 'https://x/' }, 'upstream_invalid_response', 502],
  [
    'a login page with 403',
    { status: 403, contentType: 'text/html', body: LOGIN },
    'unauthorized_upstream',
    502,
  ],
  [
    'a rejected token',
    { status: 401, wwwAuthenticate: 'Bearer realm="x", error="invalid_token"', body: 'Jwt is expired' },
    'unauthorized_upstream',
    502,
  ],
  [
    'a rejection by the service mesh',
    { status: 403, contentType: 'text/plain', body: 'RBAC: access denied' },
    'unauthorized_upstream',
    502,
  ],
  ['an empty object with 401', { status: 401, body: '{}' }, 'unauthorized_upstream', 502],
  [
    "a model's own 401",
    { status: 401, body: '{"error":"key"}', hasUpstreamServiceTime: true },
    'upstream_error',
    401,
  ],
  ["a model's own 403", { status: 403, body: '{"error":"no"}' }, 'upstream_error', 403],
  [
    'an error page',
    { status: 500, contentType: 'text/html', body: '<html>' },
    'upstream_invalid_response',
    502,
  ],
  [
    "a gateway's page for a request above its size limit",
    { status: 413, contentType: 'text/html', body: '<html>' },
    'upstream_error',
    413,
  ],
  [
    "a gateway's page for too many requests",
    { status: 429, contentType: 'text/html', body: '<html>' },
    'overloaded',
    429,
  ],
  [
    'an error page of a gateway without a backend',
    { status: 504, contentType: 'text/html', body: '<html>' },
    'upstream_unreachable',
    502,
  ],
  [
    'a gateway without a pod of the model',
    { status: 503, contentType: 'text/plain', body: 'no healthy upstream' },
    'upstream_unreachable',
    502,
  ],
  ['no route', { status: 404, contentType: undefined, body: '' }, 'upstream_invalid_response', 502],
  ["the model server's 404", { status: 404, body: '{"error":"no model"}' }, 'upstream_error', 404],
  ['a loading model', { status: 503, body: '{"error":"not ready"}' }, 'model_not_ready', 503],
  ['bad input', { status: 400, body: '{"error":"shape"}' }, 'upstream_error', 400],
  [
    'an internal server error',
    { status: 500, contentType: 'text/plain', body: 'Internal Server Error' },
    'upstream_error',
    500,
  ],
])('throws a Problem for %s', (_what, said, code, status) => {
  const problem = problemOf(said)
  expect(problem).toBeInstanceOf(Problem)
  expect(problem).toMatchObject({ code, status })
  // Addresses may appear only in the log.
  expect(problem.message).not.toContain('iris.models.svc')
})

describe("the model server's error", () => {
  test('keeps its body, Content-Type and Retry-After', () => {
    const problem = problemOf({ status: 500, body: '{"error":"boom"}', retryAfter: '3' })
    expect(Buffer.from(problem.body!).toString()).toBe('{"error":"boom"}')
    expect(problem).toMatchObject({ contentType: 'application/json', retryAfterMs: 3_000, retryable: true })
  })

  test('gets a body from the connector if the original body is empty, too long or a web page', () => {
    expect(problemOf({ status: 500, body: '' }).body).toBeUndefined()
    const page = problemOf({ status: 413, contentType: 'text/html', body: '<html>' })
    expect(page).toMatchObject({
      body: undefined,
      message: 'The gateway in front of the model does not accept a request of this size.',
      retryable: false,
    })
    const long = problemOf({ status: 500, body: 'x'.repeat(70_000) })
    expect([long.body, long.message]).toEqual([undefined, 'x'.repeat(1_000)])
  })

  test('contains no time to wait if Retry-After is invalid', () => {
    const problem = problemOf({ status: 503, body: '{"error":"x"}', retryAfter: 'soon' })
    expect(problem.retryAfterMs).toBeUndefined()
  })

  test.each<[string, Said]>([
    ["the server's own error", { body: '{"error":"x"}' }],
    ['an error page', { contentType: 'text/html', body: '<html>' }],
    ['a model without a pod', { contentType: 'text/plain', body: 'no healthy upstream' }],
  ])('keeps its Retry-After if its status is 503: %s', (_what, said) => {
    const date = 'Wed, 21 Oct 2026 07:28:00 GMT'
    const problem = problemOf({ ...said, status: 503, retryAfter: 'Wed, 21 Oct 2026 07:28:20 GMT', date })
    expect(problem).toMatchObject({ retryAfterMs: 20_000, retryable: true })
  })
})

const ENVOY = 'upstream connect error or disconnect/reset before headers. reset reason: '

describe('retryable errors', () => {
  test.each<[string, Said, string, boolean]>([
    ['429', { status: 429, body: '{"error":"busy"}' }, 'rejected', false],
    ['429 with Retry-After', { status: 429, body: '{"error":"busy"}', retryAfter: '3' }, 'busy', false],
    ['429 of nginx', { status: 429, contentType: 'text/html', body: '<html>' }, 'rejected', false],
    [
      '429 of nginx with Retry-After',
      { status: 429, contentType: 'text/html', body: '<html>', retryAfter: '3' },
      'busy',
      false,
    ],
    ['503 of the server', { status: 503, body: '{"error":"not ready"}' }, 'starting', false],
    ['503 of Knative', { status: 503, body: 'pending request queue full' }, 'rejected', false],
    ['503 of Envoy', { status: 503, body: 'no healthy upstream' }, 'no-answer', false],
    [
      '503 of Envoy for a refused connection',
      { status: 503, body: `${ENVOY}remote connection failure` },
      'no-answer',
      false,
    ],
    ['503 of Envoy for a full queue', { status: 503, body: `${ENVOY}overflow` }, 'busy', false],
    [
      '503 of Envoy for a terminated connection',
      { status: 503, body: `${ENVOY}connection termination` },
      'no-answer',
      true,
    ],
    ['503 of Traefik', { status: 503, body: 'no available server' }, 'no-answer', false],
    ['503 of nginx', { status: 503, contentType: 'text/html', body: '<html>' }, 'no-answer', true],
    ['502 of nginx', { status: 502, contentType: 'text/html', body: '<html>' }, 'no-answer', true],
    ['502 of Traefik', { status: 502, body: 'Bad Gateway' }, 'no-answer', true],
    ['504 of Knative', { status: 504, body: 'request timeout' }, 'no-answer', true],
  ])('include %s', (_what, said, sign, maybeExecuted) => {
    const problem = problemOf({ contentType: 'text/plain', ...said })
    expect(problem).toBeInstanceOf(UpstreamFailure)
    expect(problem).toMatchObject({ sign, maybeExecuted, retryable: true })
  })

  test.each([400, 401, 403, 404, 408, 413, 422, 500, 501])('do not include the status %d', (status) => {
    const problem = problemOf({ status, body: '{"error":"x"}' })
    expect(problem).not.toBeInstanceOf(UpstreamFailure)
    expect(problem.retryable).toBe(false)
  })
})

describe('header fields that would break an MQTT packet or its reader', () => {
  test.each(['image/png\u0080', 'image/png;\vx', 'ïmage/png', `image/${'x'.repeat(300)}`, 'not a type', ''])(
    'include the content type %j, which is not passed on',
    (contentType) => {
      expect(
        judgeAnswer(answer({ contentType, body: '{}' }), ADDRESS, { errorText: 'first-line' }).contentType,
      ).toBe('application/octet-stream')
      expect(problemOf({ status: 500, contentType, body: 'x' }).contentType).toBe('application/octet-stream')
    },
  )

  test.each(['-1', 'x', '1\u0080', '', '4', '99999999999'])(
    'include the invalid JSON length %j, which is rejected',
    (inferenceHeaderContentLength) => {
      expect(problemOf({ ...BINARY, inferenceHeaderContentLength }).code).toBe('upstream_invalid_response')
    },
  )
})

test.each(['https://sso.example/auth?client_id=a&state=canary', '/login#code=canary', '/x?canary'])(
  'logs a redirect to "%s" without its query, which may contain an OAuth state',
  (location) => {
    const { message, detail } = problemOf({ status: 302, location })
    expect(detail).toContain(`"${location.split(/[?#]/)[0]!}"`)
    expect(message + detail).not.toContain('canary')
  },
)

test('shortens a very long Content-Type in the log', () => {
  const { detail } = problemOf({ contentType: `application/json; x=${'x'.repeat(10_000)}`, body: 'no' })
  expect(detail).toContain('application/json; x=xxx')
  expect(detail!.length).toBeLessThan(300)
})

test('returns a response or throws a Problem for any input, never another error', () => {
  const text = fc.option(fc.oneof(fc.string(), fc.constantFrom('text/html', 'application/json', '/login')), {
    nil: undefined,
  })
  fc.assert(
    fc.property(
      fc.record({
        status: fc.integer({ min: 200, max: 599 }),
        contentType: text,
        inferenceHeaderContentLength: text,
        retryAfter: text,
        date: text,
        location: text,
        wwwAuthenticate: text,
        hasUpstreamServiceTime: fc.boolean(),
        isOverloaded: fc.boolean(),
        coding: fc.constantFrom(undefined, undefined, 'gzip'),
        isBodySent: fc.boolean(),
        body: fc.uint8Array({ maxLength: 40 }),
      }),
      (given) => {
        try {
          expect(judgeAnswer(given, ADDRESS, { errorText: 'first-line' }).contentType).toMatch(
            /^[\x20-\x7e]+$/,
          )
        } catch (error) {
          expect(error).toBeInstanceOf(Problem)
        }
      },
    ),
    { numRuns: 2_000 },
  )
})

// Tests what each status of the known servers and gateways means.
import { expect, test } from 'vitest'
import { ServiceTime } from '../refusal/service-time.ts'
import { STATUS as codes } from './grpc-status.ts'
import { judgeStatus } from './judge-status.ts'

const NO_MARKS = {
  hasServiceTime: false,
  location: undefined,
  wwwAuthenticate: undefined,
  isOverloaded: false,
}
const judge = (code: number, details: string, isReadiness = false): ReturnType<typeof judgeStatus> =>
  judgeStatus(
    { code, details, ...NO_MARKS },
    { address: 'ModelInfer http://iris', isReadiness, errorText: 'first-line' },
  )

// Texts as recorded from KServe 0.21.0, Triton 2.51.0, MLServer 1.7.1 and Envoy.
test.each<[number, string, string, number, string?]>([
  [codes.NOT_FOUND, 'Model with name nope does not exist.', 'upstream_error', 404],
  [codes.NOT_FOUND, "Request for unknown model: 'nope' is not found", 'model_not_ready', 503, 'starting'],
  [codes.NOT_FOUND, 'Model nope with version  not found', 'model_not_ready', 503, 'starting'],
  [codes.INVALID_ARGUMENT, "unexpected inference input 'z' for model 'echo'", 'upstream_error', 400],
  [codes.FAILED_PRECONDITION, 'x', 'upstream_error', 400],
  [codes.INTERNAL, 'Internal server error', 'upstream_error', 500],
  [codes.UNKNOWN, "'NotImplementedError' object has no attribute 'reason'", 'upstream_error', 500],
  [codes.UNIMPLEMENTED, 'Method not found!', 'upstream_error', 501],
  [codes.RESOURCE_EXHAUSTED, 'Received message larger than max (9437216 vs. 8388608)', 'upstream_error', 413],
  [codes.RESOURCE_EXHAUSTED, 'Sent message larger than max (9437216 vs. 8388608)', 'response_too_large', 502],
  [codes.RESOURCE_EXHAUSTED, 'trying to send message larger than max (9 vs. 8)', 'response_too_large', 502],
  [codes.RESOURCE_EXHAUSTED, 'Queue is larger than max', 'overloaded', 429, 'rejected'],
  [codes.RESOURCE_EXHAUSTED, 'Too many concurrent requests', 'overloaded', 429, 'rejected'],
  [codes.UNAVAILABLE, 'Exceeds maximum queue size', 'overloaded', 429, 'rejected'],
  [codes.UNAVAILABLE, 'Request timeout expired', 'deadline_exceeded', 504, 'rejected'],
  [codes.UNAVAILABLE, 'Model echo is not ready', 'model_not_ready', 503, 'starting'],
  [codes.UNAVAILABLE, 'upstream request timeout', 'upstream_error', 504, 'no-answer'],
  [codes.UNAVAILABLE, 'no healthy upstream', 'upstream_unreachable', 502, 'no-answer'],
  [
    codes.UNAVAILABLE,
    'upstream connect error or disconnect/reset before headers. reset reason: connection termination',
    'upstream_unreachable',
    502,
    'no-answer',
  ],
  [codes.DEADLINE_EXCEEDED, 'Deadline Exceeded', 'deadline_exceeded', 504],
  [codes.CANCELLED, 'Cancelled', 'upstream_unreachable', 502, 'unreachable'],
  [codes.PERMISSION_DENIED, 'RBAC: access denied', 'unauthorized_upstream', 502],
  [codes.UNAUTHENTICATED, 'Jwt is missing', 'unauthorized_upstream', 502],
])('the status %i with the text "%s" becomes %s (%i)', (code, details, problem, status, sign) => {
  expect(judge(code, details)).toMatchObject({
    code: problem,
    status,
    ...(sign === undefined ? {} : { sign }),
  })
})

test('an empty UNIMPLEMENTED is the error of a server that has accepted a call without Envoy', () => {
  const serviceTime = new ServiceTime()
  const code = (): unknown => {
    const call = {
      address: 'ModelInfer http://iris',
      isReadiness: false,
      errorText: 'first-line',
      serviceTime,
    } as const
    return judgeStatus({ code: codes.UNIMPLEMENTED, details: '', ...NO_MARKS }, call).status
  }
  // Until then, Envoy may have no route.
  expect(code()).toBe(502)
  serviceTime.accepted(false)
  expect(code()).toBe(501)
  serviceTime.accepted(true)
  expect(code()).toBe(502)
})

test("the model's error has the same body as over HTTP, with only the first line of its text", () => {
  const { body, contentType } = judge(codes.INTERNAL, 'boom\n  File "/srv/model.py"')
  expect(Buffer.from(body!).toString()).toBe('{"error":"boom"}')
  expect(contentType).toBe('application/json')
})

test("a model that MLServer does not have is not ready, although ModelReady's status is UNKNOWN", () => {
  const text = "Unexpected <class 'mlserver.errors.ModelNotFound'>: Model nope with version  not found"
  expect(judge(codes.UNKNOWN, text, true)).toMatchObject({ code: 'model_not_ready', sign: 'starting' })
})

const CALL = { address: 'ModelInfer http://iris', isReadiness: false, errorText: 'first-line' } as const

test('a redirect, which Envoy sends with the code UNKNOWN and a location, is named, but never followed', () => {
  const status = { code: codes.UNKNOWN, details: '', ...NO_MARKS }
  const login = judgeStatus({ ...status, location: '/dex/auth?state=canary' }, CALL)
  expect(login).toMatchObject({ code: 'unauthorized_upstream', refusal: { name: 'login_required' } })
  expect(login.detail).toContain('/dex/auth')
  expect(login.detail).not.toContain('canary')
  expect(judgeStatus(status, CALL).refusal).toBeUndefined()
})

test('a login page in the text of a status is cut in the log, and not sent to the client', () => {
  const page = `\n<!DOCTYPE html>${'x'.repeat(2_000)}`
  const problem = judge(codes.PERMISSION_DENIED, page)
  expect(problem).toMatchObject({ code: 'unauthorized_upstream', refusal: { name: 'login_required' } })
  expect(problem.detail!.length).toBeLessThan(320)
  expect(problem.message + Buffer.from(problem.body ?? '').toString()).not.toContain('xxx')
})

test("with Envoy's service time, the status is the model server's own", () => {
  const own = { code: codes.PERMISSION_DENIED, details: 'not for you', ...NO_MARKS, hasServiceTime: true }
  expect(judgeStatus(own, CALL)).toMatchObject({ code: 'upstream_error', status: 403 })
})

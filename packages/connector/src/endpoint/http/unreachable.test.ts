import { expect, test } from 'vitest'
import { unreachable } from './unreachable.ts'

test.each<[string, string]>([
  ['ECONNREFUSED', 'upstream_unreachable'],
  ['UND_ERR_SOCKET', 'upstream_unreachable'],
  ['HPE_INVALID_CONSTANT', 'upstream_invalid_response'],
  ['UND_ERR_INVALID_ARG', 'internal'],
])('converts the error %s to the problem %s', (code, expected) => {
  const problem = unreachable(Object.assign(new Error('why'), { code }), 'POST http://iris/', 'sent')
  expect(problem.code).toBe(expected)
  expect(problem.detail).toBe(`POST http://iris/: ${code} why`)
})

test.each<[string, 'unsent' | 'sent' | 'answering', boolean, string | undefined]>([
  ['UND_ERR_CONNECT_TIMEOUT', 'unsent', true, 'connect_timeout'],
  ['ETIMEDOUT', 'unsent', true, 'connect_timeout'],
  // A connection in use broke.
  ['ETIMEDOUT', 'sent', true, undefined],
  ['UND_ERR_SOCKET', 'sent', false, 'connection_closed'],
  ['ECONNRESET', 'sent', false, 'connection_closed'],
  ['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', 'unsent', false, 'mtls_required'],
  // A server that has answered before does not require mTLS.
  ['UND_ERR_SOCKET', 'sent', true, undefined],
  ['UND_ERR_SOCKET', 'answering', false, undefined],
  ['ECONNREFUSED', 'unsent', false, undefined],
])(
  'calls %s of a call that is %s (answered before: %s) the refusal %s',
  (code, progress, hasAnswered, refusal) => {
    const error = Object.assign(new Error('why'), { code })
    expect(unreachable(error, 'POST http://iris/', progress, hasAnswered).refusal?.name).toBe(refusal)
  },
)

import { expect, test } from 'vitest'
import { CliError } from './cli-error.ts'
import { describeError } from './describe-error.ts'
import { EXIT } from './exit-code.ts'

function named(name: string, message: string, members: object = {}): Error {
  return Object.assign(new Error(message), { name }, members)
}

test('what the user can do about it is said under what happened', () => {
  expect(describeError(new CliError(EXIT.missingFile, 'file "x" cannot be read', 'Check the path.'))).toEqual(
    {
      text: 'error: file "x" cannot be read\n       Check the path.\n',
      exitCode: 66,
    },
  )
})

test('an error of a request says its code and what to do next', () => {
  const error = named('InferwireError', 'nobody listens', { code: 'no_connector', retryable: true })
  const { text, exitCode } = describeError(error)
  expect(text).toMatch(/^error: nobody listens \(no_connector\)\n {7}Start one with: inferwire connect/)
  expect(exitCode).toBe(69)
})

test('every problem of the wire contract has a remedy from the table', () => {
  const { text, exitCode } = describeError(
    named('InferwireError', 'busy', { code: 'overloaded', status: 429, retryable: true }),
  )
  expect(text).toMatch(/busy \(429 overloaded\)\n {7}Try again/)
  expect(exitCode).toBe(75)
})

test.each([
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'certificate_refused', /Use a name that is in the certificate/],
  ['CERT_HAS_EXPIRED', 'certificate_refused', /Renew the broker's certificate/],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'certificate_refused', /--cafile/],
  ['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', 'broker_unreachable', /no client certificate/],
  ['ERR_SSL_WRONG_VERSION_NUMBER', 'broker_unreachable', /Check -p/],
  ['ECONNREFUSED', 'broker_unreachable', /that the broker runs/],
])('the remedy fits the cause %s', (causeCode, code, remedy) => {
  const cause = Object.assign(new Error('why'), { code: causeCode })
  expect(describeError(named('InferwireError', 'no', { code, cause })).text).toMatch(remedy)
})

test('a configuration error is printed whole', () => {
  expect(describeError(named('ConfigError', 'a.yaml\n  line 1\n  line 2'))).toEqual({
    text: 'a.yaml\n  line 1\n  line 2\n',
    exitCode: 78,
  })
})

test('a taken port says which, and what to do', () => {
  const error = named('Error', 'listen EADDRINUSE', {
    code: 'EADDRINUSE',
    syscall: 'listen',
    address: '127.0.0.1',
    port: 9090,
  })
  const { text, exitCode } = describeError(error)
  expect(text).toMatch(/127\.0\.0\.1:9090.*another process/)
  expect(text).toContain('--admin-port')
  expect(exitCode).toBe(69)
})

test('anything else is our fault, with the stack for the report', () => {
  const { text, exitCode } = describeError(new TypeError('x is not a function'))
  expect(text).toMatch(/fault in Inferwire[\s\S]*describe-error\.test/)
  expect(exitCode).toBe(70)
  expect(describeError('text').exitCode).toBe(70)
})

test('text from the wire cannot move the cursor of a terminal', () => {
  const error = named('InferwireError', 'a\u001b[2Jb', {
    code: 'upstream_error',
    status: 500,
    retryable: false,
  })
  expect(describeError(error).text).not.toContain('\u001b')
})

import { expect, test } from 'vitest'
import { CliError } from './cli-error.ts'
import { describeError } from './describe-error.ts'
import { EXIT } from './exit-code.ts'

function named(name: string, message: string, members: object = {}): Error {
  return Object.assign(new Error(message), { name }, members)
}

function messageOf(code: string, message: string): string {
  return describeError(named('InferwireError', message, { code })).text.split('\n')[0]!
}

test('prints the remedy on the line below the message', () => {
  expect(describeError(new CliError(EXIT.missingFile, 'file "x" cannot be read', 'Check the path.'))).toEqual(
    {
      text: 'error: file "x" cannot be read\n       Check the path.\n',
      exitCode: 66,
    },
  )
})

test('prints the code and the remedy of a request error', () => {
  const error = named('InferwireError', 'no subscriber', { code: 'no_connector', retryable: true })
  const { text, exitCode } = describeError(error)
  expect(text).toMatch(
    /^error: no subscriber \(no_connector\)\n {7}Start a connector with: inferwire connect/,
  )
  expect(exitCode).toBe(69)
})

test('prints the remedy that the protocol table defines for a problem code', () => {
  const { text, exitCode } = describeError(
    named('InferwireError', 'busy', { code: 'overloaded', status: 429, retryable: true }),
  )
  expect(text).toMatch(/busy \(429 overloaded\)\n {7}Try again/)
  expect(exitCode).toBe(75)
})

test.each([
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'certificate_refused', /Use a name from the certificate/],
  ['CERT_HAS_EXPIRED', 'certificate_refused', /Renew the broker's certificate/],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'certificate_refused', /--cafile/],
  ['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', 'broker_unreachable', /not support client certificates/],
  ['ERR_SSL_WRONG_VERSION_NUMBER', 'broker_unreachable', /Check -p/],
  ['ECONNREFUSED', 'broker_unreachable', /that the broker is running/],
])('chooses the remedy according to the cause: %s', (causeCode, code, remedy) => {
  const cause = Object.assign(new Error('why'), { code: causeCode })
  expect(describeError(named('InferwireError', 'no', { code, cause })).text).toMatch(remedy)
})

test("removes the SDK's remedy from the message, because the command line has its own", () => {
  expect(
    messageOf(
      'certificate_refused',
      "Refused: why (X); set the ca option to the certificate of the broker's certificate authority.",
    ),
  ).toBe('error: Refused: why (X). (certificate_refused)')
  const version = 'It does not support MQTT 5; set mqttVersion to "3.1.1". The address comes from X.'
  expect(messageOf('broker_unreachable', version)).toBe(
    'error: It does not support MQTT 5. The address comes from X. (broker_unreachable)',
  )
})

test('says that the answer is incomplete if the connection was lost during a stream', () => {
  const advice = 'Lost. With sessionExpirySeconds, streams continue on the next connection.'
  expect(messageOf('stream_interrupted', advice)).toBe(
    'error: The connection was lost during the stream; the answer above is incomplete. (stream_interrupted)',
  )
  expect(messageOf('stream_interrupted', 'Part 3 is missing.')).toContain('Part 3 is missing.')
})

test('names the model in the remedy', () => {
  const error = named('InferwireError', 'shape mismatch', {
    code: 'upstream_error',
    status: 500,
    model: 'iris',
  })
  expect(describeError(error).text).toContain('Compare the body with: inferwire models describe iris\n')
})

test('the remedy for an offline connector is to start it', () => {
  const message = 'Model "iris" is not ready: the connector that exposes it is offline.'
  const error = named('InferwireError', message, { code: 'model_not_ready', status: 503 })
  expect(describeError(error).text).toContain('Start the connector, or look at its log.')
})

test('prints a configuration error in full', () => {
  expect(describeError(named('ConfigError', 'a.yaml\n  line 1\n  line 2'))).toEqual({
    text: 'a.yaml\n  line 1\n  line 2\n',
    exitCode: 78,
  })
})

test('does not report a second connector with the same name as a mistake in the configuration file', () => {
  expect(describeError(named('StateInUse', 'another connector with that name runs (process 7)'))).toEqual({
    text: 'error: another connector with that name runs (process 7)\n       Give this connector a different name with --name NAME.\n',
    exitCode: 78,
  })
})

test('reports a port that is in use, with the remedy', () => {
  const error = named('Error', 'listen EADDRINUSE', {
    code: 'EADDRINUSE',
    syscall: 'listen',
    address: '127.0.0.1',
    port: 9090,
  })
  const { text, exitCode } = describeError(error)
  expect(text).toMatch(/127\.0\.0\.1:9090.*another process is using the port/)
  expect(text).toContain('--admin-port')
  expect(exitCode).toBe(69)
})

test('reports any other error as internal, with its stack', () => {
  const { text, exitCode } = describeError(new TypeError('x is not a function'))
  expect(text).toMatch(/internal error in Inferwire[\s\S]*describe-error\.test/)
  expect(exitCode).toBe(70)
  expect(describeError('text').exitCode).toBe(70)
})

test('removes terminal control characters from text received over MQTT', () => {
  const error = named('InferwireError', 'a\u001b[2Jb', {
    code: 'upstream_error',
    status: 500,
    retryable: false,
  })
  expect(describeError(error).text).not.toContain('\u001b')
})

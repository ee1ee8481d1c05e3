import { expect, test } from 'vitest'
import { startFailure } from './start-failure.ts'

function named(name: string, members: object = {}): Error {
  return Object.assign(new Error('what to do'), { name }, members)
}

test.each([
  [named('PortTakenError'), 69],
  [named('Error'), 69],
  [named('ModelServerError', { code: 'model_file_unreadable' }), 66],
  [named('ModelServerError', { code: 'invalid_model' }), 65],
  [named('ModelServerError', { code: 'duplicate_model_name' }), 64],
  [named('ModelServerError', { code: 'listen_failed' }), 69],
])('the error "%s" causes exit code %i and keeps its message', (error, exitCode) => {
  expect(startFailure(error)).toMatchObject({ name: 'CliError', exitCode, message: 'what to do' })
})

test('under npm start, the remedy for a port in use is an npm command', () => {
  const error = named('PortTakenError', { option: '--mqtt-port' })
  expect(startFailure(error, { npm_lifecycle_event: 'start' })).toMatchObject({
    remedy: 'With npm: npm start -- --mqtt-port 0',
  })
  expect(startFailure(error, {})).toMatchObject({ remedy: 'Help: inferwire dev --help' })
})

test('returns an internal error unchanged', () => {
  const fault = new TypeError('x is not a function')
  expect(startFailure(fault)).toBe(fault)
})

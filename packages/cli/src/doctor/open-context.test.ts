import { loadConfig } from '@inferwire/connector'
import { expect, test } from 'vitest'
import { clientSide } from './open-context.ts'

const URL_OF_BROKER = 'mqtts://broker.example:8883'

function configOf(broker: object) {
  const config = loadConfig({ env: {}, flags: { broker: { url: URL_OF_BROKER } } })
  return { value: { ...config, broker: { ...config.broker, ...broker } } }
}

const CERTIFICATE = { tls: { certFile: 'connector.pem', keyFile: 'connector.key' } }

test.each([
  ['a user name', { username: 'inferwire' }],
  ['a client certificate', CERTIFICATE],
])('a connector with %s: the client is unknown without -u', (_name, broker) => {
  expect(clientSide({ mqttVersion: 5 }, {}, configOf(broker), 'file')).toEqual({
    missing: expect.stringContaining('-u USER') as string,
  })
})

test('a connector with a client certificate: -u names a client, which does not use the certificate', () => {
  const side = clientSide({ mqttVersion: 5, username: 'ann' }, {}, configOf(CERTIFICATE), 'file')
  expect(side).toMatchObject({ value: { identity: 'ann' } })
  expect(JSON.stringify(side)).not.toContain('connector.pem')
})

test('a connector without a login: the client has none either', () => {
  expect(clientSide({ mqttVersion: 5 }, {}, configOf({}), 'file')).toMatchObject({
    value: { identity: 'cli' },
  })
})

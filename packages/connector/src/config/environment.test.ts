import { expect, test } from 'vitest'
import { environmentOptions, readEnvironment, variableOf } from './environment.ts'
import { loadConfig } from './load.ts'

test('has one variable for every option outside of models and policy', () => {
  const variables = [...environmentOptions().keys()]
  expect(variables).toContain('INFERWIRE_BROKER_TLS_INSECURE_SKIP_VERIFY')
  expect(variables).toContain('INFERWIRE_DRAIN_TIMEOUT_MS')
  expect(variables.filter((variable) => /MODELS|POLICY/.test(variable))).toEqual([])
  for (const [variable, { path }] of environmentOptions()) expect(variableOf(path)).toBe(variable)
})

test('converts numbers and booleans, and leaves other text to the schema', () => {
  const env = {
    INFERWIRE_ADMIN_PORT: '0',
    INFERWIRE_ADMIN_ENABLED: 'false',
    INFERWIRE_NAME: '7',
    INFERWIRE_DRAIN_TIMEOUT_MS: '1s',
  }
  expect(readEnvironment(env).options.map(({ value }) => value)).toEqual([0, false, '7', '1s'])
})

test('rejects an unknown variable and suggests the nearest name, but ignores variables of other programs', () => {
  const env = { INFERWIRE_BROKER_URI: 'x', INFERWIRE_CONFIG: '/x', INFERWIRE_CACHE: '/y', PATH: '/bin' }
  expect(readEnvironment(env).mistakes).toEqual([
    {
      path: '',
      source: 'environment variable INFERWIRE_BROKER_URI',
      message: 'is not an option; did you mean INFERWIRE_BROKER_URL?',
    },
  ])
})

test('escapes control characters in the name of an unknown variable', () => {
  const [mistake] = readEnvironment({ 'INFERWIRE_\u001b[2J': 'x' }).mistakes
  expect(mistake?.source).toBe(String.raw`environment variable "INFERWIRE_\u001b[2J"`)
})

// Kubernetes (enableServiceLinks) sets these variables in every pod for Services named `inferwire` and
// `inferwire-admin`.
test('ignores the variables of Kubernetes Services', () => {
  const env = Object.fromEntries(
    ['INFERWIRE', 'INFERWIRE_ADMIN'].flatMap((service) => [
      [`${service}_SERVICE_HOST`, '10.96.0.7'],
      [`${service}_SERVICE_PORT`, '8383'],
      [`${service}_SERVICE_PORT_HTTP_METRICS`, '8383'],
      [`${service}_PORT`, 'tcp://10.96.0.7:8383'],
      [`${service}_PORT_8383_TCP`, 'tcp://10.96.0.7:8383'],
      [`${service}_PORT_8383_TCP_PROTO`, 'tcp'],
      [`${service}_PORT_8383_TCP_PORT`, '8383'],
      [`${service}_PORT_8383_TCP_ADDR`, '10.96.0.7'],
    ]),
  )
  expect(loadConfig({ env }).admin.port).toBe(8383)
  expect(loadConfig({ env: { ...env, INFERWIRE_ADMIN_PORT: '9000' } }).admin.port).toBe(9000)
})

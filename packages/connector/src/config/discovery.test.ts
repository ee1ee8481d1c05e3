import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ConfigError } from './config-error.ts'
import { loadConfig } from './load.ts'
import type { ConnectorConfig } from './schema.ts'

function load(yaml: string): ConnectorConfig {
  const file = join(mkdtempSync(join(tmpdir(), 'inferwire-config-')), 'inferwire.yaml')
  writeFileSync(file, yaml)
  return loadConfig({ file, env: {} })
}

function mistakesOf(yaml: string): string[] {
  try {
    load(yaml)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.mistakes.map(({ path, message }) => `${path} ${message}`)
  }
  return []
}

test('is off by default, exposes only objects that ask for it, and gives each model the defaults of models', () => {
  const { discovery } = load('{}')
  expect(discovery).toMatchObject({
    enabled: false,
    namespaces: [],
    expose: 'opt-in',
    kinds: ['InferenceService'],
    clusterDomain: 'cluster.local',
    aliases: {},
  })
  const { url, host, credential, ...options } = load('models: { iris: { url: http://h } }').models['iris']!
  expect([url, host, credential]).toEqual(['http://h', undefined, { kind: 'none' }])
  expect(options).toMatchObject(discovery.defaults)
})

test.each([
  ['discovery.namespaces is empty', '{ enabled: true }'],
  ['discovery.namespaceSelector is set together', '{ namespaces: [a], namespaceSelector: x=y }'],
  ['discovery.namespaces contains "*" and names', '{ namespaces: ["*", a] }'],
  ['discovery.defaultNamespace "b" is not in namespaces', '{ namespaces: [a], defaultNamespace: b }'],
  ['discovery.kinds contains TrainedModel', '{ kinds: [TrainedModel] }'],
  ['discovery.context is set without kubeconfig', '{ context: dev }'],
  ['discovery.gateway.domain is missing', '{ gateway: { url: https://gateway } }'],
  ['discovery.gateway.url is missing', '{ gateway: { domain: example.com } }'],
  ['discovery.aliases.iris is also a name in models', '{ aliases: { iris: a/b } }'],
  ['discovery.aliases.two "a/b" already has the alias "one"', '{ aliases: { one: a/b, two: a/b } }'],
  ['discovery.aliases.one "a/b" is in a namespace that is not', '{ namespaces: [c], aliases: { one: a/b } }'],
  ['discovery.aliases.one "b" is not valid', '{ aliases: { one: b } }'],
  ['discovery.namespaces[0] "A" is not valid', '{ namespaces: [A] }'],
  ['discovery.defaults.url is not an option', '{ defaults: { url: http://h } }'],
  ['discovery.defaults.batching needs repeatable', '{ defaults: { batching: auto, repeatable: false } }'],
  ['discovery.defaults.tls.certFile is missing', '{ defaults: { tls: { keyFile: /dev/null } } }'],
  ['discovery.credential "gateway" is not the name of an entry in credentials', '{ credential: gateway }'],
  ['discovery.credentials[0] "mesh" cannot be used by discovered models', '{ credentials: [mesh] }'],
  ['discovery.clusterDomain "-x" is not valid', '{ clusterDomain: -x }'],
])('reports: %s', (mistake, section) => {
  const found = mistakesOf(
    `models: { iris: { url: http://h } }\ncredentials: { mesh: { kind: token-file, tokenFile: /dev/null } }\ndiscovery: ${section}\n`,
  )
  expect(found.filter((each) => each.startsWith(mistake))).toHaveLength(1)
})

test('accepts a complete section', () => {
  const section = `{ enabled: true, namespaces: [a, b], expose: all, kinds: [InferenceService, TrainedModel],
    defaultNamespace: a, aliases: { defects: b/defect-detector }, clusterDomain: corp.internal,
    gateway: { url: https://gateway, domain: example.com },
    defaults: { timeoutMs: 5000, limits: { concurrency: 4 }, tls: { serverName: gateway } } }`
  expect(mistakesOf(`discovery: ${section}`)).toEqual([])
})

test.each(['credential: key', 'credentials: [key]'])(
  'reports a default header that clients may pass, and that carries the secret of "%s"',
  (use) => {
    const key = '{ kind: static-header, name: X-Api-Key, valueFile: /dev/null, origins: ["https://a"] }'
    const section = `{ ${use}, defaults: { passHeaders: [x-trace-id, x-api-key] } }`
    expect(mistakesOf(`credentials: { key: ${key} }\ndiscovery: ${section}`)).toEqual([
      'discovery.defaults.passHeaders[1] "x-api-key" is the header of a credential of discovered models; remove it',
    ])
  },
)

test('reports a default header that is always passed', () => {
  expect(mistakesOf('discovery: { defaults: { passHeaders: [traceparent] } }')).toEqual([
    'discovery.defaults.passHeaders[0] "traceparent" is always passed; remove it',
  ])
})

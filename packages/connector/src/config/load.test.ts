// Tests, with real files, that every kind of mistake is reported with its place and remedy.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test, vi } from 'vitest'
import { ConfigError } from './config-error.ts'
import { loadConfig } from './load.ts'
import type { ConfigInput, ConnectorConfig } from './schema.ts'

const folder = mkdtempSync(join(tmpdir(), 'inferwire-config-'))
const file = join(folder, 'inferwire.yaml')
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function load(
  text: string | Uint8Array,
  env: Record<string, string> = {},
  flags: ConfigInput = {},
): ConnectorConfig {
  writeFileSync(file, text)
  return loadConfig({ file, env, flags })
}

function errorOf(load: () => unknown): ConfigError {
  try {
    load()
  } catch (error) {
    if (error instanceof ConfigError) return error
    throw error
  }
  throw new Error('Nothing was thrown.')
}

function mebibytesOf({ limits, models }: ConnectorConfig): number[] {
  const { requestBytesMax, responseBytesMax } = models['iris']!.limits
  const all = [limits.bytesInFlightMax, limits.duplicates.bytesMax, requestBytesMax, responseBytesMax]
  return all.map((bytes) => bytes / 1024 / 1024)
}

test('sets lower default limits in a container with little memory', () => {
  const limited = vi.spyOn(process, 'constrainedMemory').mockReturnValue(96 * 1024 * 1024)
  const small = loadConfig({ env: {}, flags: { models: { iris: { url: 'http://iris' } } } })
  limited.mockReturnValue(2 ** 64)
  const free = loadConfig({ env: {}, flags: { models: { iris: { url: 'http://iris' } } } })
  limited.mockRestore()
  expect(mebibytesOf(small)).toEqual([12, 4, 3, 3])
  expect(mebibytesOf(free)).toEqual([128, 16, 16, 16])
})

test('fills in every default', () => {
  const config = loadConfig({ env: {}, flags: { name: 'plant-7', models: { iris: { url: 'http://iris' } } } })
  expect(config).toMatchObject({
    name: 'plant-7',
    root: 'infer',
    broker: {
      url: 'mqtt://127.0.0.1:1883',
      mqttVersion: 5,
      clientId: 'inferwire-plant-7',
      ackOrder: 'bounded',
    },
    models: {
      iris: { timeoutMs: 30_000, limits: { concurrency: 64 }, credential: { kind: 'none' }, passHeaders: [] },
    },
    limits: { bytesInFlightMax: 134_217_728 },
    admin: { enabled: true, host: '127.0.0.1', port: 8383 },
    log: { level: 'info', format: 'auto' },
    drain: { timeoutMs: 25_000 },
  })
  expect(config.policy).toBeUndefined()
  expect(loadConfig({ env: {} }).name).not.toBe('')
})

test('overrides the file with environment variables, and both with flags', () => {
  const text = 'root: from-file\nbroker: {keepAliveSeconds: 11, share: from-file}\nlog: {level: warn}\n'
  const env = {
    INFERWIRE_ROOT: 'from-env',
    INFERWIRE_BROKER_KEEP_ALIVE_SECONDS: '12',
    INFERWIRE_ADMIN_ENABLED: 'false',
  }
  const config = load(text, env, { root: 'from-flag', broker: { clientId: 'c' } })
  expect(config).toMatchObject({ root: 'from-flag', log: { level: 'warn' }, admin: { enabled: false } })
  expect(config.broker).toMatchObject({ keepAliveSeconds: 12, share: 'from-file', clientId: 'c' })
})

test("replaces a model in the file with the command line's model of the same name, and keeps the other models", () => {
  const text = 'models: {a: {url: http://old, protocolVersion: v1}, b: {url: http://b}}'
  const { models } = load(text, {}, { models: { a: { url: 'http://new' } } })
  expect(models['a']).toMatchObject({ url: 'http://new' })
  expect(models['a']!.protocolVersion).toBeUndefined()
  expect(models['b']!.url).toBe('http://b')
})

test('accepts unquoted versions, both MQTT versions, JSON, aliases and model names such as constructor', () => {
  expect(load('models: {a: {url: http://h, versions: [1, v2]}}').models['a']!.versions).toEqual(['1', 'v2'])
  expect(load('broker: {mqttVersion: 3.1.1}').broker.mqttVersion).toBe('3.1.1')
  expect(load('{}', { INFERWIRE_BROKER_MQTT_VERSION: '5' }).broker.mqttVersion).toBe(5)
  expect(load('{}', { INFERWIRE_BROKER_MQTT_VERSION: '3.1.1' }).broker.mqttVersion).toBe('3.1.1')
  expect(load('{"root": "a/b"}').root).toBe('a/b')
  const { models } = load('models:\n  constructor: &m {url: http://h}\n  toString: *m\n')
  expect(Object.keys(models)).toEqual(['constructor', 'toString'])
})

test.each<[what: string, text: string, messages: RegExp[]]>([
  ['an unknown key', 'brocker: {}', [/yaml:1:1: brocker: is not an option; did you mean "broker"\?/]],
  [
    'an unknown key that resembles no option',
    'log: {zzzzzz: 1}',
    [/:1:7: log\.zzzzzz: .* valid are: level, format/],
  ],
  ['a key that only looks known', 'toString: 1', [/:1:1: toString: is not an option/]],
  ['a section without a value', 'root: a\npolicy:\n', [/:2:1: policy: has no value; expected a map/]],
  ['a wrong type', 'broker: {tls: 7}', [/:1:10: broker\.tls: 7 is not valid; expected a map/]],
  [
    'a number out of range',
    'admin: {port: 65536}',
    [/admin\.port: 65536 is not valid; expected a whole number from 0 to 65535/],
  ],
  ['a fraction', 'drain: {timeoutMs: 1.5}', [/1\.5 is not valid; expected a whole number/]],
  ['infinity', 'drain: {timeoutMs: .inf}', [/Infinity is not valid; expected a whole number/]],
  ['a boolean written as "yes"', 'admin: {enabled: yes}', [/"yes" is not valid; expected true or false/]],
  [
    'an unknown choice',
    'broker: {ackOrder: stict}',
    [/expected one of bounded, strict, as-settled; did you mean "strict"\?/],
  ],
  [
    'an unknown MQTT version',
    'broker: {mqttVersion: 4}',
    [/mqttVersion: 4 is not valid; expected 5 or 3\.1\.1/],
  ],
  ['a root with wildcards', 'root: a/#', [/expected a topic without wildcards/]],
  [
    'a broker URL with the scheme http',
    'broker: {url: http://h}',
    [/expected a URL such as mqtt:\/\/127\.0\.0\.1:1883/],
  ],
  ['a broker URL with a path', 'broker: {url: mqtt://h/x}', [/without a path/]],
  [
    'a model without a URL',
    'models:\n  iris: {}\n',
    [/:2:3: models\.iris\.url: is missing; expected a URL such as http/],
  ],
  ['a model URL with a query', 'models: {a: {url: "http://h?x"}}', [/without a query/]],
  [
    'a model URL with the path of a model',
    'models: {a: {url: http://h/v1/models/a}}',
    [/before \/v1\/models/],
  ],
  [
    'a model URL that ends in a protocol version',
    'models: {a: {url: "http://h:8080/v1"}, b: {url: "https://h/v2/"}}',
    [
      /models\.a\.url: .* expected the part of the URL before \/v1\/models/,
      /models\.b\.url: .* expected the part/,
    ],
  ],
  [
    'a model name with a version',
    'models: {a@1: {url: http://h}}',
    [/a@1 is not valid; expected a model name/],
  ],
  [
    'a misspelt option of a model',
    'models: {a: {url: http://h, tiemoutMs: 1}}',
    [/did you mean "timeoutMs"\?/],
  ],
  [
    'an invalid version',
    'models: {a: {url: http://h, versions: [a b]}}',
    [/versions\[0\]: "a b" .* expected a version such as 1/],
  ],
  [
    'a header that cannot be passed',
    'models: {a: {url: http://h, passHeaders: [authorization]}}',
    [/passHeaders\[0\]: "authorization" .* may be passed/],
  ],
  [
    'an invalid content type',
    'models: {a: {url: http://h, contentTypes: [jpeg]}}',
    [/contentTypes\[0\]: "jpeg" .*such as image\/jpeg/],
  ],
  [
    'JSON in the content types, where its body would not be checked',
    'models: {a: {url: http://h, contentTypes: [application/json]}}',
    [/contentTypes\[0\]/],
  ],
  [
    'content types on a version that has none',
    'models: {a: {url: http://h, protocolVersion: v2, contentTypes: [image/png]}}',
    [/V2 accepts only its own content types; remove the list, or set protocolVersion: v1/],
  ],
  [
    'an unknown kind of credential',
    'models: {a: {url: http://h, credential: {kind: password}}}',
    [
      /credential\.kind: "password" is not valid; expected none, token-file, .* or mtls; "password" is not supported, because a person's password/,
    ],
  ],
  [
    'a kind of credential for a session',
    'credentials: {a: {kind: session-cookie}}',
    [/credentials\.a\.kind: .* because a session cookie needs a login form/],
  ],
  [
    'the name of a credential that does not exist',
    'credentials: {gateway: {kind: token-file, tokenFile: /dev/null}}\nmodels: {a: {url: http://h, credential: gatewy}}',
    [
      /:2:29: models\.a\.credential: "gatewy" is not the name of an entry in credentials; did you mean "gateway"\?/,
    ],
  ],
  [
    'a credential for another origin',
    "credentials: {g: {kind: token-file, tokenFile: /dev/null, origins: ['https://h']}}\nmodels: {a: {url: 'https://h:8443', credential: g}}",
    [
      /models\.a\.credential: "g" may not be sent to "https:\/\/h:8443"; add the origin to credentials\.g\.origins/,
    ],
  ],
  [
    'an origin without a host',
    "credentials: {g: {kind: token-file, tokenFile: /dev/null, origins: ['https://*']}}",
    [
      /credentials\.g\.origins\[0\]: "https:\/\/\*" is not valid; expected an origin .*"\*" must be followed by a domain/,
    ],
  ],
  [
    'a misspelt option of a named credential, and one of another kind',
    'credentials: {g: {kind: token-file, tokenFile: /dev/null, valueFile: /dev/null, tokenUlr: x}}',
    [
      /credentials\.g\.valueFile: is not an option of this kind; remove it/,
      /credentials\.g\.tokenUlr: is not an option; did you mean "tokenUrl"\?/,
    ],
  ],
  [
    'a client secret in the file',
    'credentials: {g: {kind: oauth-client-credentials, tokenUrl: https://i/t, clientId: c, clientSecret: canary}}',
    [
      /credentials\.g\.clientSecretFile: is missing; expected the path of a file/,
      /credentials\.g\.clientSecret: is not an option; did you mean "clientSecretFile"\?/,
    ],
  ],
  [
    'a token endpoint without TLS outside the cluster',
    'credentials: {g: {kind: oauth-client-credentials, tokenUrl: http://issuer.example/t, clientId: c, clientSecretFile: /dev/null}}',
    [/credentials\.g\.tokenUrl: .* expected an https URL; http is allowed only for localhost/],
  ],
  [
    'a cookie as a header',
    'credentials: {g: {kind: static-header, name: Cookie, valueFile: /dev/null}}',
    [/credentials\.g\.name: must not be "cookie": a session cookie needs a login form, .*; use token-file/],
  ],
  [
    'a client certificate without TLS',
    'credentials: {g: {kind: mtls, certFile: /dev/null, keyFile: /dev/null}}\nmodels: {a: {url: http://h, credential: g}}',
    [/credentials\.g\.certFile: "\/dev\/null" contains no readable certificate/],
  ],
  [
    'a misspelt option of a credential',
    'models: {a: {url: http://h, credential: {kind: none, tokenFil: x}}}',
    [/credential\.tokenFil: is not an option; did you mean "tokenFile"\?/],
  ],
  [
    'a credential in the Host header',
    'models: {a: {url: http://h, credential: {kind: static-header, name: Host, valueFile: /dev/null}}}',
    [/expected the name of a header that may carry a secret/],
  ],
  [
    'an example that is not JSON',
    'models: {a: {url: http://h, example: {body: [.nan]}}}',
    [/expected a JSON value/],
  ],
  [
    'an example without a body',
    'models: {a: {url: http://h, example: {}}}',
    [/models\.a\.example\.body: is missing; expected a JSON value/],
  ],
  [
    'a model whose name contains a dot',
    'models: {"1.0": {url: http://h, timeoutMs: 0}}',
    [/: models\."1\.0"\.timeoutMs: 0 is not valid/],
  ],
  [
    'a number as a key, which YAML changes',
    'models:\n  1.0: {url: http://h}\n',
    [/:2:3: 1: is read as a number; write the key in quotes: "1\.0"/],
  ],
  [
    'an empty list of clients',
    'policy: {allow: [{clients: [], models: [a]}]}',
    [/policy\.allow\[0\]\.clients: .* expected a list of at least 1 item/],
  ],
  [
    'a password in the file',
    'broker: {username: u, password: canary}',
    [
      /broker\.password: must not be in the file; set INFERWIRE_BROKER_PASSWORD, or use broker\.passwordFile$/,
    ],
  ],
  ['a password without a user name', 'broker: {passwordFile: /dev/null}', [/broker\.username: is missing/]],
  [
    'a minimum reconnect wait above the maximum',
    'broker: {reconnect: {minMs: 500, maxMs: 100}}',
    [/:1:22: broker\.reconnect\.minMs: 500 is above maxMs, 100/],
  ],
  [
    'a client certificate without its key',
    'broker: {url: mqtts://h, tls: {certFile: /dev/null}}',
    [/broker\.tls\.keyFile: is missing/],
  ],
  [
    'TLS options without TLS',
    'broker: {url: mqtt://h, tls: {insecureSkipVerify: true}}',
    [/:1:25: broker\.tls: is set, but the URL does not use TLS; expected "mqtts:\/\/h"/],
  ],
  [
    'TLS options of a model without TLS',
    'models: {a: {url: http://h, tls: {serverName: x}}}',
    [/expected "https:\/\/h"/],
  ],
  [
    'versions on V1',
    'models: {a: {url: http://h, protocolVersion: v1, versions: [1]}}',
    [/V1 has no versions.*protocolVersion: grpc-v2 or v2/],
  ],
  [
    'a path with gRPC',
    'models: {a: {url: http://h/p, protocolVersion: grpc-v2}}',
    [/:1:14: models\.a\.url: has the path "\/p", but gRPC has fixed paths; remove the path/],
  ],
  [
    'a request that could never run',
    'limits: {bytesInFlightMax: 1000}\nmodels: {a: {url: http://h}}',
    [/:2:10: models\.a\.limits\.requestBytesMax: 16777216 is above limits\.bytesInFlightMax, 1000/],
  ],
  [
    'a file that does not exist',
    'broker: {tls: {caFile: /does/not/exist}}',
    [/:1:16: broker\.tls\.caFile: "\/does\/not\/exist" does not exist \(ENOENT\); check the path/],
  ],
  [
    'a relative file that does not exist',
    'broker: {passwordFile: nope}',
    [/"nope" does not exist \(ENOENT\), relative to the working folder "\//],
  ],
  [
    'a folder in place of a file',
    'models: {a: {url: http://h, credential: {kind: token-file, tokenFile: /}}}',
    [/"\/" is a folder; expected a file/],
  ],
  ['a key that is set twice', 'root: a\nlog: {}\nroot: b\n', [/:3:1: root: is set twice/]],
  ['__proto__', 'models:\n  __proto__: {url: http://h}\n', [/:2:3: "__proto__": cannot be a key/]],
  ['a merge key', 'root: a\n<<: {name: b}\n', [/"<<": is not an option/]],
  ['a list as a key', '? [a]\n: 1\n', [/:1:3: a key must be text/]],
  ['a tag', 'root: !env ROOT', [/:1:7: .*Unresolved tag: !env/]],
  ['broken YAML', 'root: a\nlog: {level: info\n', [/:3:1: is not valid YAML: /]],
  ['two documents', 'root: a\n---\nroot: b\n', [/multiple documents/]],
  ['an alias without an anchor', 'root: *unknown', [/cannot be read: Unresolved alias/]],
  ['an alias inside its own anchor', 'models: &m\n  a: *m\n', [/:2:6: alias \*m is inside its own anchor/]],
  ['aliases that multiply', bomb(), [/cannot be read: Excessive alias count/]],
  ['deep nesting', '['.repeat(20_000) + ']'.repeat(20_000), [/nested deeper than 64 levels/]],
  ['deep nesting that is not closed', '['.repeat(6_000), [/:1:65: is nested deeper than 64 levels/]],
  ['deep nesting of lists in one line', '- '.repeat(6_000), [/nested deeper than 64 levels/]],
  ['deep nesting of keys', '? '.repeat(6_000), [/nested deeper than 64 levels/]],
  ['deep nesting that ends in one line', `${'- '.repeat(4_000)}a\nb: 1\n`, [/nested deeper than 64 levels/]],
  [
    'deep nesting of keys that ends in one line',
    `${'- ? '.repeat(4_000)}a\nb: 1\n`,
    [/nested deeper than 64/],
  ],
  ['deep nesting in a map', `a: ${'['.repeat(200)}${']'.repeat(200)}`, [/nested deeper than 64 levels/]],
  ['a list', '- a\n', [/:1:1: must contain a map of options/]],
  ['text', 'hello', [/must contain a map of options/]],
  ['a control character', 'root: |\u001b\n', [/:1:8: is not valid YAML: [^\u001b]*$/]],
  ['an empty file', '# nothing\n', [/is empty; write `\{\}`/]],
])('reports the place of a mistake and its remedy: %s', (_what, text, messages) => {
  const { message } = errorOf(() => load(text))
  for (const expected of messages) expect(message).toMatch(expected)
  expect(message).toContain(file)
  expect(message).not.toMatch(/canary|Invalid input|undefined/)
})

function bomb(): string {
  const lines = Array.from(
    { length: 8 },
    (_, level) => `a${level + 1}: &a${level + 1} [${`*a${level},`.repeat(9)}]`,
  )
  return `a0: &a0 [x]\n${lines.join('\n')}\n`
}

test('reports all mistakes in all sources at once', () => {
  const text =
    'brocker: {}\nmodels:\n  a: {url: ftp://h}\n  b: {url: http://h, tls: {caFile: /does/not/exist}}\n'
  const env = { INFERWIRE_LOG_LEVEL: 'loud', INFERWIRE_ADMIN_PRT: '1' }
  const error = errorOf(() => load(text, env, { root: '#' }))
  expect(error.message).toMatch(/^The configuration has 6 mistakes:\n/)
  expect(error.mistakes.map(({ path, source }) => `${source} ${path}`).sort()).toEqual([
    `${file}:1:1 brocker`,
    `${file}:3:7 models.a.url`,
    `${file}:4:28 models.b.tls.caFile`,
    'command line root',
    'environment variable INFERWIRE_ADMIN_PRT ',
    'environment variable INFERWIRE_LOG_LEVEL log.level',
  ])
})

test('lists the mistakes in environment variables first, then those in the file, in the order of the file', () => {
  const text =
    'models:\n  b: {url: http://h, tls: {caFile: /none}}\nroot: 3\nlog: {level: 1,\n  format: 2}\nx: 1\n'
  const { mistakes } = errorOf(() => load(text, { INFERWIRE_ADMIN_PRT: '1' }))
  expect(mistakes.map(({ source }) => source.replace(file, ''))).toEqual([
    'environment variable INFERWIRE_ADMIN_PRT',
    ':2:28',
    ':3:1',
    ':4:7',
    ':5:3',
    ':6:1',
  ])
})

test('reports a section that is not a map, even if an environment variable sets an option of that section', () => {
  const { message } = errorOf(() => load('broker: text', { INFERWIRE_BROKER_SHARE: 'a' }))
  expect(message).toMatch(/broker: "text" is not valid; expected a map/)
})

test('rejects a password that is set twice or is empty', () => {
  const text = 'broker: {username: u, passwordFile: /dev/null}'
  expect(errorOf(() => load(text, { INFERWIRE_BROKER_PASSWORD: 'canary' })).message).toMatch(/set twice/)
  const { message } = errorOf(() => load('broker: {username: u}', { INFERWIRE_BROKER_PASSWORD: '' }))
  expect(message).toMatch(
    /INFERWIRE_BROKER_PASSWORD: broker\.password: \*\*\* is not valid; expected non-empty text$/,
  )
})

test('rejects a model named __proto__ on the command line', () => {
  const flags = { models: JSON.parse('{"__proto__": {"url": "http://h"}}') as ConfigInput['models'] }
  expect(errorOf(() => loadConfig({ env: {}, flags })).message).toMatch(
    /command line: models\.__proto__: cannot be a key/,
  )
  expect(({} as Record<string, unknown>)['url']).toBeUndefined()
})

test('reports a file that cannot be read, is too large or is not text', () => {
  expect(errorOf(() => loadConfig({ file: '/does/not/exist', env: {} })).message).toMatch(
    /\/does\/not\/exist: cannot be read \(ENOENT\); check the path/,
  )
  mkdirSync(join(folder, 'folder'), { recursive: true })
  expect(errorOf(() => loadConfig({ file: join(folder, 'folder'), env: {} })).message).toMatch(/\(EISDIR\)/)
  expect(errorOf(() => loadConfig({ file: '/dev/zero', env: {} })).message).toMatch(
    /larger than 1048576 bytes/,
  )
  expect(errorOf(() => load('#'.repeat(1024 * 1024 + 1))).message).toMatch(/larger than/)
  expect(errorOf(() => load(Uint8Array.of(0x61, 0xff, 0xfe))).message).toMatch(/is not UTF-8 text/)
})

test('lists a limited number of mistakes, and escapes control characters in them', () => {
  const text = Array.from({ length: 5000 }, (_, index) => `"\\e[${index}": 1`).join('\n')
  const { message, mistakes } = errorOf(() => load(text))
  expect(mistakes).toHaveLength(5000)
  expect(message).toMatch(/and 4950 more$/)
  expect(message).not.toContain('\u001b')
})

// Tests that loading any combination of file, environment variables and flags returns a configuration or throws a
// ConfigError.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { ConfigError } from './config-error.ts'
import { environmentOptions } from './environment.ts'
import { loadConfig, type ConfigSources } from './load.ts'
import { parseModelFlag } from './model-flag.ts'
import { printConfig } from './print.ts'
import type { ConfigInput } from './schema.ts'

const folder = mkdtempSync(join(tmpdir(), 'inferwire-fuzz-'))
const file = join(folder, 'inferwire.yaml')
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function endsWell(load: () => unknown): void {
  try {
    load()
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError)
    expect((error as ConfigError).mistakes.length).toBeGreaterThan(0)
    expect((error as ConfigError).message.length).toBeLessThan(100_000)
  }
}

const key = fc.constantFrom(
  ...'name root broker url tls caFile models a credential kind file limits policy allow clients'.split(' '),
  ...'example body password versions admin log constructor toString'.split(' '),
  ...'credentials kind origins tokenUrl clientId mtls'.split(' '),
  'x y',
)
const scalar = fc.oneof(
  fc.constantFrom('http://h', 'mqtt://u:p@h', 'v2', 'token-file', '/dev/null', 5, -1, 1e308, null, true, ''),
  fc.string(),
  fc.double(),
)
const { tree } = fc.letrec((tie) => ({
  tree: fc.oneof(
    { maxDepth: 6 },
    scalar,
    fc.dictionary(key, tie('tree'), { maxKeys: 6 }),
    fc.array(tie('tree'), { maxLength: 4 }),
  ),
}))

test('loads or rejects any tree of known and unknown options', () => {
  fc.assert(
    fc.property(fc.dictionary(key, tree), (value) => {
      writeFileSync(file, stringify(value))
      endsWell(() => loadConfig({ file, env: {} }))
      endsWell(() => loadConfig({ env: {}, flags: value as ConfigInput }))
    }),
    { numRuns: 150 },
  )
})

test('loads or rejects any bytes, and any text of YAML characters', () => {
  const yamlish = fc.string({
    unit: fc.constantFrom(...'{}[]:,-?&*!|>\'"%@#\n\t ~<ab1'.split('')),
    maxLength: 80,
  })
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 100 }), yamlish), (bytes) => {
      writeFileSync(file, bytes)
      endsWell(() => loadConfig({ file, env: {} }))
    }),
    { numRuns: 400 },
  )
})

test('loads or rejects any value of any variable', () => {
  const variable = fc.oneof(
    fc.constantFrom(...environmentOptions().keys()),
    fc.string().map((s) => `INFERWIRE_${s}`),
  )
  fc.assert(
    fc.property(
      fc.dictionary(variable, fc.oneof(fc.string(), fc.constantFrom('5', 'true', '1e9'))),
      (env) => {
        endsWell(() => loadConfig({ env }))
      },
    ),
    { numRuns: 150 },
  )
})

test('parses or rejects any --model flag', () => {
  const flag = fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom(...'a=,@/:p'.split('')) }))
  fc.assert(
    fc.property(flag, (text) => endsWell(() => parseModelFlag(text))),
    { numRuns: 500 },
  )
})

const modelArbitrary = fc.record(
  {
    url: fc.constantFrom('http://h', 'https://h:8443/prefix'),
    host: fc.constantFrom('iris.models.example.com', '[::1]:80'),
    protocolVersion: fc.constantFrom('v1' as const, 'v2' as const),
    modelName: fc.constantFrom('up.stream', '1', 'true', 'null', 'na+me', '@'),
    description: fc.string({ minLength: 1 }),
    // The round trip through JSON turns -0 into 0.
    example: fc.record({
      body: fc.jsonValue({ maxDepth: 3 }).map((value) => JSON.parse(JSON.stringify(value)) as unknown),
    }),
    timeoutMs: fc.integer({ min: 1, max: 3_600_000 }),
    passHeaders: fc.constantFrom([], ['x-request-id']),
    credential: fc.constantFrom(
      { kind: 'none' as const },
      { kind: 'token-file' as const, tokenFile: '/dev/null' },
      { kind: 'static-header' as const, name: 'x-api-key', valueFile: '/dev/null' },
      {
        kind: 'oauth-token-exchange' as const,
        tokenUrl: 'http://dex.auth.svc:5556/dex/token',
        clientId: 'null',
        clientSecretFile: '/dev/null',
        subjectTokenFile: '/dev/null',
      },
    ),
  },
  { requiredKeys: ['url'] },
)
const configArbitrary = fc.record(
  {
    name: fc.constantFrom('plant-7', '7', 'true', 'ä: b'),
    root: fc.constantFrom('infer', 'plant/infer', '0x10', '~'),
    models: fc.dictionary(fc.constantFrom('a', '1', 'null', 'true', 'B.c', 'constructor'), modelArbitrary),
    policy: fc.record({
      allow: fc.array(fc.constant({ clients: ['line-*', '*'], models: ['*'] }), { maxLength: 2 }),
    }),
    credentials: fc.dictionary(
      fc.constantFrom('a', '1', 'true', 'B.c'),
      fc.constant({ kind: 'token-file' as const, tokenFile: '/dev/null', origins: ['https://*.h:*'] }),
    ),
    log: fc.record({ level: fc.constantFrom('debug' as const, 'error' as const) }),
  },
  { requiredKeys: ['name'] },
)

test('prints text that loads as the same configuration', () => {
  fc.assert(
    fc.property(configArbitrary, fc.boolean(), (flags, hasPassword) => {
      fc.pre(!JSON.stringify(flags).includes('__proto__'))
      const env = hasPassword ? { INFERWIRE_BROKER_USERNAME: 'u', INFERWIRE_BROKER_PASSWORD: 'canary' } : {}
      const sources: ConfigSources = { env, flags: flags as unknown as ConfigInput }
      const config = loadConfig(sources)
      const text = printConfig(config)
      expect(text).not.toContain('canary')
      writeFileSync(file, text)
      expect(loadConfig({ file, env })).toEqual(config)
      expect(printConfig(loadConfig({ file, env }))).toBe(text)
    }),
    { numRuns: 60 },
  )
})

// Tests the output of `inferwire config print`. fuzz.test.ts tests that loading this output results in the same
// configuration.
import { expect, test } from 'vitest'
import { allOptions } from './all-options.ts'
import { loadConfig } from './load.ts'
import { printConfig } from './print.ts'
import type { ConfigInput } from './schema.ts'

function printed(flags: ConfigInput, env: Record<string, string> = {}): string[] {
  return printConfig(loadConfig({ env, flags })).split('\n')
}

const SMALL: ConfigInput = {
  name: 'plant-7',
  broker: { url: 'mqtts://broker.example', username: 'inferwire' },
  models: {
    iris: { url: 'http://iris', timeoutMs: 5000, limits: { concurrency: 64 } },
    wine: { url: 'http://wine' },
  },
}

test('the first section shows only the options that differ from the defaults, with the password masked', () => {
  const lines = printed(SMALL, { INFERWIRE_BROKER_PASSWORD: 'canary' })
  expect(lines.slice(0, lines.indexOf(''))).toEqual([
    '# Options that differ from the defaults',
    'name: plant-7',
    'broker:',
    '  # password: "***" (from the environment)',
    '  url: mqtts://broker.example',
    '  username: inferwire',
    'models:',
    '  iris:',
    '    url: http://iris',
    '    timeoutMs: 5000',
    '  wine:',
    '    url: http://wine',
  ])
})

test("shows the policy after the models and without the policy's defaults, and quotes a name that YAML 1.1 reads as a value", () => {
  const lines = printed({
    models: { yes: { url: 'http://h' } },
    policy: { allow: [{ clients: ['on'], models: ['yes'] }] },
    limits: { bytesInFlightMax: 100_000_000 },
  })
  expect(lines.slice(0, lines.indexOf(''))).toEqual([
    '# Options that differ from the defaults',
    'models:',
    '  "yes":',
    '    url: http://h',
    'policy:',
    '  allow:',
    '    - clients:',
    '        - "on"',
    '      models:',
    '        - "yes"',
    'limits:',
    '  bytesInFlightMax: 100000000',
  ])
})

test('lists every other option as a one-line comment, advanced options last', () => {
  const lines = printed(SMALL)
  for (const { path, text } of allOptions()) {
    const key = path.join('.')
    const found = lines.filter((line) => line.startsWith(`# ${key}: `))
    const isShown =
      text.isSecret !== true &&
      !['name', 'broker.url', 'broker.username', 'models.*.url', 'credentials.*'].includes(key)
    expect({ key, count: found.length }).toEqual({ key, count: isShown ? 1 : 0 })
  }
  const advanced = lines.indexOf('# Defaults of the advanced options')
  expect(lines.indexOf('# root: infer')).toBeLessThan(advanced)
  expect(lines.indexOf('# broker.keepAliveSeconds: 30')).toBeGreaterThan(advanced)
})

test('shows the value of a default that depends on other options, and describes a default without a value', () => {
  const lines = printed(SMALL)
  expect(lines).toContain('# broker.clientId: inferwire-plant-7')
  expect(lines).toContain('# models.*.modelName: (the name in models)')
  expect(lines).toContain('# broker.share: (not set)')
})

test('prints an empty map when nothing differs from the defaults', () => {
  expect(printed({}).slice(0, 3)).toEqual(['# No option differs from the defaults', '{}', ''])
})

test('prints the defaults of models once, however many models there are', () => {
  const models = Object.fromEntries(
    Array.from({ length: 40 }, (_, index) => [`m${index}`, { url: `http://m${index}` }]),
  )
  expect(printed({ models }).filter((line) => line.startsWith('# models.*.timeoutMs'))).toHaveLength(1)
})

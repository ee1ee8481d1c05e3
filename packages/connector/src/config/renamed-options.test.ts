// Tests that a former name of an option is rejected in every source, with a message that contains the new name.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { ConfigError } from './config-error.ts'
import { loadConfig, type ConfigSources } from './load.ts'
import { parseModelFlag } from './model-flag.ts'
import { RENAMED_OPTIONS } from './renamed-options.ts'
import type { ConfigInput } from './schema.ts'

const folder = mkdtempSync(join(tmpdir(), 'inferwire-renamed-'))
const file = join(folder, 'inferwire.yaml')
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function messageOf(load: () => unknown): string {
  try {
    load()
  } catch (error) {
    if (error instanceof ConfigError) return error.message
    throw error
  }
  throw new Error('Nothing was thrown.')
}

function mistakesOf(sources: Partial<ConfigSources>): string {
  return messageOf(() => loadConfig({ env: {}, ...sources }))
}

test.each([
  [
    'models:\n  a:\n    url: http://h\n    protocol: v1\n',
    ':4:5: models.a.protocol: "protocol" is now "protocolVersion"',
  ],
  ['models:\n  a:\n    url: http://h\n    as: b\n', ':4:5: models.a.as: "as" is now "modelName"'],
  [
    'models:\n  a: {url: http://h, credential: {kind: token-file, file: /dev/null}}\n',
    ':2:53: models.a.credential.file: "file" is now "tokenFile"',
  ],
  [
    'models:\n  a: {url: http://h, credential: {kind: static-header, name: x-key, file: /dev/null}}\n',
    ':2:69: models.a.credential.file: "file" is now "valueFile"',
  ],
  [
    'broker:\n  protocolVersion: 4\n',
    ':2:3: broker.protocolVersion: "protocolVersion" is now "mqttVersion"; its values are 5 and 3.1.1',
  ],
])('rejects the former name in the file %j', (text, expected) => {
  writeFileSync(file, text)
  expect(mistakesOf({ file })).toContain(`${file}${expected}`)
})

test('rejects the former name of an environment variable', () => {
  const env = { INFERWIRE_BROKER_PROTOCOL_VERSION: '4' }
  expect(mistakesOf({ env })).toContain(
    'environment variable INFERWIRE_BROKER_PROTOCOL_VERSION: ' +
      'is now INFERWIRE_BROKER_MQTT_VERSION; its values are 5 and 3.1.1',
  )
})

test.each([
  ['a=http://h,protocol=v1', '"protocol" is now "protocolVersion"'],
  ['a=http://h,protocolVersion=v1,as=b', '"as" is now "modelName"'],
  ['a=http://h,protocol=v1,as=b', '"protocol" is now "protocolVersion"; "as" is now "modelName"'],
])('rejects the former name in --model %s', (flag, expected) => {
  expect(messageOf(() => parseModelFlag(flag))).toContain(`--model "${flag}": ${expected}`)
})

test('rejects a former name in parsed command-line flags', () => {
  const flags = { models: { a: { url: 'http://h', protocol: 'v1' } } } as ConfigInput
  expect(mistakesOf({ flags })).toContain(
    'command line: models.a.protocol: "protocol" is now "protocolVersion"',
  )
})

test('reports only one mistake if a required option is set under its former name', () => {
  const credential = { kind: 'token-file', file: '/dev/null' }
  const flags = { models: { a: { url: 'http://h', credential } } } as unknown as ConfigInput
  expect(mistakesOf({ flags })).toMatch(/has a mistake:\n.*: "file" is now "tokenFile"$/)
})

test('the new name of each renamed option is a key of the schema', () => {
  for (const { section, before, now, kind } of RENAMED_OPTIONS) {
    const path = section.split('.')
    const values = path.reduceRight<unknown>((value, key) => ({ [key === '*' ? 'a' : key]: value }), {
      ...(kind === undefined ? {} : { kind }),
      [before]: 1,
      [now]: 1,
    })
    const message = mistakesOf({ flags: values as ConfigInput })
    expect(message).toContain(`"${before}" is now "${now}"`)
    expect(message).not.toContain(`${now}: is not an option`)
  }
})

// Tests options that are valid on their own but contradict each other. Each mistake is reported with its place.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { ConfigError } from './config-error.ts'
import { loadConfig } from './load.ts'

const folder = mkdtempSync(join(tmpdir(), 'inferwire-contradictions-'))
const file = join(folder, 'inferwire.yaml')
const secretFile = join(folder, 'key')
writeFileSync(secretFile, 'canary')
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function mistakesOf(text: string): string[] {
  writeFileSync(file, text)
  try {
    loadConfig({ file, env: {} })
  } catch (error) {
    if (error instanceof ConfigError) {
      return error.mistakes.map(
        ({ path, source, message }) => `${source.replace(file, '')} ${path} ${message}`,
      )
    }
    throw error
  }
  return []
}

const model = (passHeaders: string): string =>
  `models:\n  iris:\n    url: http://h\n    credential: {kind: static-header, name: X-Api-Key, valueFile: ${secretFile}}\n    passHeaders: [${passHeaders}]\n`

test('rejects a header in passHeaders that is also the header of the credential', () => {
  expect(mistakesOf(model('x-line, x-api-key'))).toEqual([
    `:5:27 models.iris.passHeaders[1] "x-api-key" is the header of the model's credential; remove it`,
  ])
  expect(mistakesOf(model('x-line, x-api-key2'))).toEqual([])
})

test.each(['inference-header-content-length', 'traceparent', 'tracestate'])(
  'rejects %s in passHeaders, because it is always passed',
  (name) => {
    expect(mistakesOf(model(name))).toEqual([
      `:5:19 models.iris.passHeaders[0] "${name}" is always passed; remove it`,
    ])
  },
)

const named = (more: string): string =>
  `models:\n  opt:\n    url: http://h\n    modelName: facebook/opt-125m${more}\n`

test('accepts a slash in modelName only for protocols whose paths do not contain the name', () => {
  for (const version of ['openai', 'grpc-v2']) {
    expect(mistakesOf(named(`\n    protocolVersion: ${version}`))).toEqual([])
  }
  // Detection skips the dialects whose paths contain the name.
  expect(mistakesOf(named(''))).toEqual([])
  expect(mistakesOf(named('\n    protocolVersion: v2'))).toEqual([
    ':4:5 models.opt.modelName "facebook/opt-125m" has a "/", but paths of V2 contain the name as one segment; set protocolVersion: grpc-v2 or openai',
  ])
})

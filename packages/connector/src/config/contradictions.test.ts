// Tests options that are valid on their own but contradict each other. Each mistake is reported with its place.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { ConfigError } from './config-error.ts'
import { loadConfig } from './load.ts'
import { LOCALHOST } from './testing/certificates.ts'

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

const certificate = join(folder, 'client.crt')
const key = join(folder, 'client.key')
writeFileSync(certificate, LOCALHOST.cert)
writeFileSync(key, LOCALHOST.key)
const certified = (model: string): string =>
  `credentials: {g: {kind: mtls, certFile: ${certificate}, keyFile: ${key}}}\nmodels: {a: {credential: g, ${model}}}`

test('accepts a client certificate as a credential only over TLS, and only one certificate', () => {
  expect(mistakesOf(certified('url: https://h'))).toEqual([])
  expect(mistakesOf(certified('url: http://h'))).toEqual([
    ':2:14 models.a.credential is a client certificate, but the URL does not use TLS; expected the url "https://h"',
  ])
  const tls = `tls: {certFile: ${certificate}, keyFile: ${key}}`
  expect(mistakesOf(certified(`url: https://h, ${tls}`))).toEqual([
    ':2:14 models.a.credential is a client certificate, but tls.certFile names one too; remove one of the two',
  ])
})

test('rejects Basic credentials in the file of a header, and does not show them', () => {
  const file = join(folder, 'basic')
  writeFileSync(file, 'basic Y2FuYXJ5OmNhbmFyeQ==')
  const [mistake, ...others] = mistakesOf(
    `credentials: {g: {kind: static-header, name: authorization, valueFile: ${file}}}`,
  )
  expect(others).toEqual([])
  expect(mistake).toContain(
    "contains Basic credentials, which are not supported: Kubeflow's gateways reject Basic authentication; use token-file",
  )
  expect(mistake).not.toContain('Y2Fu')
})

test('rejects a header in passHeaders that is also the header of a named credential', () => {
  const text = `credentials: {g: {kind: static-header, name: X-Api-Key, valueFile: ${secretFile}}}\nmodels: {a: {url: http://h, credential: g, passHeaders: [x-api-key]}}`
  expect(mistakesOf(text)).toEqual([
    `:2:58 models.a.passHeaders[0] "x-api-key" is the header of the model's credential; remove it`,
  ])
})

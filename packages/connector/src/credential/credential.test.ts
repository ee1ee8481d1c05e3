// Tests credentials with real files and a simulated clock. A canary secret must not appear in any error.
import { mkdtempSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { Problem } from '@inferwire/protocol'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { CredentialConfig } from '../config/index.ts'
import { bindCredential } from './bind-credential.ts'
import { createSource } from './create-credential.ts'
import type { CredentialSource } from './credential.ts'
import { staticHeader, tokenFile } from './file-source.ts'
import { NO_DEADLINE, RecordedNews } from './testing/source-parts.ts'

const ORIGIN = 'http://iris.models.svc'
const CANARY = 'hunter2-canary'
let folder: string
let file: string
let nowMs: number
let news: RecordedNews
const parts = () => ({ place: 'credentials.a', news, now: () => nowMs })
const headersOf = (source: CredentialSource) => source.headers(NO_DEADLINE) as readonly string[]

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'inferwire-credential-'))
  file = join(folder, 'token')
  nowMs = 1_000_000
  news = new RecordedNews()
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

// Replaces the file as the kubelet does, by renaming a new file to its name.
function rotate(text: string): void {
  writeFileSync(join(folder, 'next'), text)
  renameSync(join(folder, 'next'), file)
}

function problemOf(source: CredentialSource): Problem {
  try {
    headersOf(source)
  } catch (error) {
    if (error instanceof Problem) return error
    throw error
  }
  throw new Error('Nothing was thrown.')
}

const created = (config: CredentialConfig) => headersOf(createSource(config, parts()))

test('creates the headers of each kind of credential that has no issuer', () => {
  writeFileSync(file, 'secret\n')
  expect(created({ kind: 'none' })).toEqual([])
  expect(created({ kind: 'mtls', certFile: file, keyFile: file })).toEqual([])
  expect(created({ kind: 'token-file', tokenFile: file })).toEqual(['authorization', 'Bearer secret'])
  expect(created({ kind: 'static-header', name: 'x-api-key', valueFile: file })).toEqual([
    'x-api-key',
    'secret',
  ])
})

test.each([
  ['token-file', () => tokenFile(file, parts()), 'Bearer '],
  ['static-header', () => staticHeader('x-api-key', file, parts()), ''],
])(
  '%s picks up a rotated secret after one second, and does not reread the file before that',
  (_kind, create, scheme) => {
    rotate('one')
    const credential = create()
    const first = headersOf(credential)
    expect(first[1]).toBe(`${scheme}one`)
    rotate('two')
    nowMs += 999
    expect(headersOf(credential)).toBe(first)
    nowMs += 1
    expect(headersOf(credential)[1]).toBe(`${scheme}two`)
  },
)

test('refresh rereads the file at once, and returns whether the secret has changed', () => {
  rotate('one')
  const credential = tokenFile(file, parts())
  const one = headersOf(credential)
  expect(credential.refresh!(one, NO_DEADLINE)).toBe(false)
  rotate('two')
  expect(credential.refresh!(one, NO_DEADLINE)).toBe(true)
  const two = headersOf(credential)
  expect(two[1]).toBe('Bearer two')
  // The file is replaced by a file with the same secret.
  rotate('two')
  expect(credential.refresh!(two, NO_DEADLINE)).toBe(false)
  expect(headersOf(credential)).toBe(two)
})

test('refresh returns true if another call has already read the new secret', () => {
  rotate('one')
  const credential = tokenFile(file, parts())
  const used = headersOf(credential)
  rotate('two')
  expect(credential.refresh!(used, NO_DEADLINE)).toBe(true)
  expect(credential.refresh!(used, NO_DEADLINE)).toBe(true)
})

test('notices a file that was changed in place', () => {
  writeFileSync(file, 'one')
  const credential = tokenFile(file, parts())
  headersOf(credential)
  writeFileSync(file, 'two')
  utimesSync(file, 1, 1)
  nowMs += 1_000
  expect(headersOf(credential)[1]).toBe('Bearer two')
})

test('keeps the last secret while the file is missing, empty or invalid', () => {
  rotate('one')
  const credential = tokenFile(file, parts())
  headersOf(credential)
  rmSync(file)
  nowMs += 1_000
  expect(headersOf(credential)[1]).toBe('Bearer one')
  rotate('')
  nowMs += 1_000
  expect(headersOf(credential)[1]).toBe('Bearer one')
  rotate('Bearer three')
  nowMs += 1_000
  expect(headersOf(credential)[1]).toBe('Bearer one')
  rotate('four')
  nowMs += 1_000
  expect(headersOf(credential)[1]).toBe('Bearer four')
})

test.each([
  ['is empty', ' \n'],
  ['must contain only the token, without "Bearer" and without spaces', `Bearer ${CANARY}`],
  ['must contain only the token', `${CANARY} b`],
  ['has line breaks or characters that are not allowed in a header', `${CANARY}\r\nx-injected: 1`],
  ['has line breaks or characters that are not allowed in a header', `${CANARY}ä`],
  ['is larger than 16384 bytes', CANARY.repeat(2_000)],
])('reports that the token file %s, and does not show its content', (detail, text) => {
  writeFileSync(file, text)
  const problem = problemOf(tokenFile(file, parts()))
  expect(problem.code).toBe('unauthorized_upstream')
  expect(problem.detail).toContain(`"${file}" ${detail}`)
  expect(problem.message).not.toContain(file)
  expect(inspect(problem, { depth: 9 }) + JSON.stringify(problem) + String(problem)).not.toContain(CANARY)
})

test('looks for a missing file once a second, not on every request', () => {
  const credential = tokenFile(file, parts())
  expect(problemOf(credential).detail).toContain('cannot be read (ENOENT)')
  rotate('late')
  expect(problemOf(credential).detail).toContain('ENOENT')
  nowMs += 1_000
  expect(headersOf(credential)[1]).toBe('Bearer late')
})

test('reports once that the secret cannot be renewed, and once that it was renewed', () => {
  rotate('one')
  const credential = tokenFile(file, parts())
  headersOf(credential)
  rotate('')
  for (let look = 0; look < 5; look++) {
    nowMs += 1_000
    headersOf(credential)
  }
  rotate('two')
  nowMs += 1_000
  headersOf(credential)
  expect(news.all).toEqual([
    `failed, valid: Credential file "${file}" is empty. Check credentials.a and the mounted volume.`,
    'recovered',
  ])
})

test('rejects Basic credentials that a file contains', () => {
  writeFileSync(file, `Basic ${CANARY}`)
  const { detail } = problemOf(staticHeader('authorization', file, parts()))
  expect(detail).toContain('contains Basic credentials, which are not supported')
  expect(detail).not.toContain(CANARY)
})

test('never returns a secret for another origin', () => {
  rotate(CANARY)
  for (const source of [tokenFile(file, parts()), staticHeader('x-api-key', file, parts())]) {
    const credential = bindCredential(source, ORIGIN)
    expect(JSON.stringify(credential.headers(ORIGIN, NO_DEADLINE))).toContain(CANARY)
    for (const other of [
      'https://iris.models.svc',
      'http://iris.models.svc:8080',
      'http://evil.example.com',
      '',
    ]) {
      expect(() => credential.headers(other, NO_DEADLINE)).toThrow('an origin other than its own')
    }
    expect(inspect(credential, { depth: 9, showHidden: true }) + JSON.stringify(credential)).not.toContain(
      CANARY,
    )
  }
})

// Tests credentials with real files and a simulated clock. A canary secret must not appear in any error.
import { mkdtempSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { Problem } from '@inferwire/protocol'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createCredential } from './create-credential.ts'
import type { Credential } from './credential.ts'
import { staticHeader } from './static-header.ts'
import { tokenFile } from './token-file.ts'

const ORIGIN = 'http://iris.models.svc'
const CANARY = 'hunter2-canary'
let folder: string
let file: string
let nowMs: number
const now = (): number => nowMs

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'inferwire-credential-'))
  file = join(folder, 'token')
  nowMs = 1_000_000
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

// Replaces the file as the kubelet does, by renaming a new file to its name.
function rotate(text: string): void {
  writeFileSync(join(folder, 'next'), text)
  renameSync(join(folder, 'next'), file)
}

function problemOf(credential: Credential): Problem {
  try {
    credential.headers(ORIGIN)
  } catch (error) {
    if (error instanceof Problem) return error
    throw error
  }
  throw new Error('Nothing was thrown.')
}

test('creates the headers of each kind of credential', () => {
  writeFileSync(file, 'secret\n')
  expect(createCredential({ kind: 'none' }, ORIGIN).headers(ORIGIN)).toEqual([])
  expect(createCredential({ kind: 'token-file', tokenFile: file }, ORIGIN).headers(ORIGIN)).toEqual([
    'authorization',
    'Bearer secret',
  ])
  const header = { kind: 'static-header' as const, name: 'x-api-key', valueFile: file }
  expect(createCredential(header, ORIGIN).headers(ORIGIN)).toEqual(['x-api-key', 'secret'])
})

test.each([
  ['token-file', () => tokenFile(file, ORIGIN, now), 'Bearer '],
  ['static-header', () => staticHeader('x-api-key', file, ORIGIN, now), ''],
])(
  '%s picks up a rotated secret after one second, and does not reread the file before that',
  (_kind, create, scheme) => {
    rotate('one')
    const credential = create()
    const first = credential.headers(ORIGIN)
    expect(first[1]).toBe(`${scheme}one`)
    rotate('two')
    nowMs += 999
    expect(credential.headers(ORIGIN)).toBe(first)
    nowMs += 1
    expect(credential.headers(ORIGIN)[1]).toBe(`${scheme}two`)
  },
)

test('refresh rereads the file at once, and returns whether the secret has changed', () => {
  rotate('one')
  const credential = tokenFile(file, ORIGIN, now)
  credential.headers(ORIGIN)
  expect(credential.refresh!()).toBe(false)
  rotate('two')
  expect(credential.refresh!()).toBe(true)
  expect(credential.headers(ORIGIN)[1]).toBe('Bearer two')
  // The file is replaced by a file with the same secret.
  rotate('two')
  expect(credential.refresh!()).toBe(false)
})

test('notices a file that was changed in place', () => {
  writeFileSync(file, 'one')
  const credential = tokenFile(file, ORIGIN, now)
  credential.headers(ORIGIN)
  writeFileSync(file, 'two')
  utimesSync(file, 1, 1)
  nowMs += 1_000
  expect(credential.headers(ORIGIN)[1]).toBe('Bearer two')
})

test('keeps the last secret while the file is missing, empty or invalid', () => {
  rotate('one')
  const credential = tokenFile(file, ORIGIN, now)
  credential.headers(ORIGIN)
  rmSync(file)
  nowMs += 1_000
  expect(credential.headers(ORIGIN)[1]).toBe('Bearer one')
  rotate('')
  nowMs += 1_000
  expect(credential.headers(ORIGIN)[1]).toBe('Bearer one')
  rotate('Bearer three')
  nowMs += 1_000
  expect(credential.headers(ORIGIN)[1]).toBe('Bearer one')
  rotate('four')
  nowMs += 1_000
  expect(credential.headers(ORIGIN)[1]).toBe('Bearer four')
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
  const problem = problemOf(tokenFile(file, ORIGIN, now))
  expect(problem.code).toBe('unauthorized_upstream')
  expect(problem.detail).toContain(`"${file}" ${detail}`)
  expect(problem.message).not.toContain(file)
  expect(inspect(problem, { depth: 9 }) + JSON.stringify(problem) + String(problem)).not.toContain(CANARY)
})

test('looks for a missing file once a second, not on every request', () => {
  const credential = tokenFile(file, ORIGIN, now)
  expect(problemOf(credential).detail).toContain('cannot be read (ENOENT)')
  rotate('late')
  expect(problemOf(credential).detail).toContain('ENOENT')
  nowMs += 1_000
  expect(credential.headers(ORIGIN)[1]).toBe('Bearer late')
})

test('never returns a secret for another origin', () => {
  rotate(CANARY)
  for (const credential of [tokenFile(file, ORIGIN), staticHeader('x-api-key', file, ORIGIN)]) {
    credential.headers(ORIGIN)
    for (const other of [
      'https://iris.models.svc',
      'http://iris.models.svc:8080',
      'http://evil.example.com',
      '',
    ]) {
      expect(() => credential.headers(other)).toThrow('an origin other than its own')
    }
    expect(inspect(credential, { depth: 9, showHidden: true }) + JSON.stringify(credential)).not.toContain(
      CANARY,
    )
  }
})

import { describe, expect, test } from 'vitest'
import { isRefused, lintPasswordFile, lintPermissions } from './lint-password-file.ts'

const base64 = (bytes: number): string => Buffer.alloc(bytes, 0xab).toString('base64')
const HASH = `$7$20000$${base64(12)}$${base64(64)}`
const GOOD = `ann:${HASH}\n`

function found(text: string): string[] {
  return lintPasswordFile(text).map(({ line, level, code }) => `${line ?? '-'} ${level} ${code}`)
}

test.each([
  ['a good file', `# users:\n${GOOD}bob:$6$${base64(12)}$${base64(64)}\n`, []],
  ['an empty file', '', ['- error empty_file']],
  ['only comments', '# x\n', ['- error empty_file']],
  ['a salt of 64 bytes', `ann:$7$1000$${base64(64)}$${base64(64)}\n`, ['1 error long_salt']],
  ['a salt of 16 bytes', `ann:$6$${base64(16)}$${base64(64)}\n`, ['1 error salt_length']],
  ['a short hash', `ann:$6$${base64(12)}$${base64(63)}\n`, ['1 error hash_length']],
  ['bad base64', `ann:$6$${base64(12)}$***\n`, ['1 error base64']],
  ['too few parts', `ann:$6$${base64(12)}\n`, ['1 error hash_form']],
  ['no iterations', `ann:$7$0$${base64(12)}$${base64(64)}\n`, ['1 error iterations']],
  ['many iterations', `ann:$7$50001$${base64(12)}$${base64(64)}\n`, ['1 warning iterations_high']],
  ['a line without a colon', `${GOOD}ann\n`, ['2 error missing_colon']],
  ['CR LF', `ann:${HASH}\r\n`, ['1 warning carriage_return']],
  ['a duplicate user', `${GOOD}bob:${HASH}\n${GOOD}`, ['1 error duplicate_user']],
  ['a NUL', `ann:${HASH}\nbob\0:${HASH}\n`, ['2 error nul', '2 error user_name']],
  ['another control character', `ann:${HASH}\u0007\n`, ['1 error control_character', '1 error base64']],
  ['plain text', 'ann:secret\n', ['1 error plain_text']],
  ['no password', 'ann:\n', ['1 error no_password']],
  ['an empty line', `\n${GOOD}\n`, ['1 warning blank_line']],
  [
    'a comment at which mosquitto_passwd stops',
    `# users\n${GOOD}# end\n`,
    ['1 warning comment_without_colon'],
  ],
  ['argon2id', 'ann:$argon2id$v=19$m=47104,t=1,p=1$c2FsdA$aGFzaA\n', ['1 error argon2id']],
  ['two users on a line', `ann:${HASH}bob:${HASH}\n`, ['1 error two_users']],
  ['no line feed at the end', `ann:${HASH}`, ['1 warning missing_line_feed']],
  ['a byte order mark', `\ufeffann:${HASH}\n`, ['1 error byte_order_mark']],
  ['bytes that are not UTF-8', `ann\ufffd:${HASH}\n`, ['1 error not_utf8', '1 warning user_name_unusual']],
  ['spaces around the user', ` ann :${HASH}\n`, ['1 warning user_name_unusual']],
])('finds every mistake in a file: %s', (_name, text, findings) => {
  expect(found(text)).toEqual(findings)
})

test.each([
  ['a good file', GOOD, false, false],
  ['a file with a warning', `${GOOD}\n`, false, false],
  ['a hash from mosquitto_passwd 2.1', 'ann:$argon2id$v=19$m=47104,t=1,p=1$c2FsdA$aGFzaA\n', true, false],
  ['a salt from mosquitto_passwd 2.1', `ann:$7$1000$${base64(64)}$${base64(64)}\n`, true, false],
  ['plain text', 'ann:secret\n', true, true],
])('reports which versions of Mosquitto reject %s', (_name, text, by20, by21) => {
  const findings = lintPasswordFile(text)
  expect([isRefused(findings, '2.0'), isRefused(findings, '2.1')]).toEqual([by20, by21])
})

describe('a user name', () => {
  test.each(['a/b', '+', 'a#', '', 'a\u0085b', 'a'.repeat(256)])('%j is an error', (name) => {
    expect(found(`${name}:${HASH}\n`)).toEqual(['1 error user_name'])
  })

  test.each(['line 3', 'müller', 'a'.repeat(65), '%u', 'a*'])('%j causes a warning', (name) => {
    expect(found(`${name}:${HASH}\n`)).toEqual(['1 warning user_name_unusual'])
  })
})

test('every finding has a remedy, and no finding contains a password', () => {
  const findings = lintPasswordFile(`hunter2\nann:hunter2\nbob:$6$hunter2$x\nbob:hunter2`)
  expect(findings.length).toBeGreaterThan(4)
  for (const { message, remedy } of findings) {
    expect(remedy).not.toBe('')
    expect(message + remedy).not.toContain('hunter2')
  }
})

test.each([
  [0o100600, false, []],
  [0o100640, false, []],
  [0o100644, false, ['warning permissions']],
  [0o100660, false, ['error permissions']],
  [0o100602, false, ['error permissions']],
  [0o100600, true, ['warning symbolic_link']],
])('a file with mode %o (symbolic link: %s) causes the findings %j', (mode, isSymbolicLink, expected) => {
  expect(lintPermissions({ mode, isSymbolicLink }).map(({ level, code }) => `${level} ${code}`)).toEqual(
    expected,
  )
})

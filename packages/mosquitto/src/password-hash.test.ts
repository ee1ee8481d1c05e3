import { describe, expect, test } from 'vitest'
import {
  hasLongSalt,
  hashPassword,
  ITERATIONS_MAX,
  parsePasswordHash,
  verifyPassword,
  type PasswordHash,
} from './password-hash.ts'

const base64 = (bytes: number): string => Buffer.alloc(bytes, 0xab).toString('base64')
const PASSWORDS = [
  'x',
  'a:b',
  '$6$a$b',
  'pass word',
  ' around ',
  'pässwörd',
  '密码',
  '😀',
  'a'.repeat(65_535),
]

describe('a new hash', () => {
  test.each(['sha512', 'sha512-pbkdf2'] as const)(
    'made with %s verifies only its own password',
    async (algorithm) => {
      for (const password of PASSWORDS) {
        const hash = parsePasswordHash(await hashPassword(password, { algorithm, iterations: 10 }))
        expect(hash).toMatchObject({ algorithm })
        expect(hasLongSalt(hash as PasswordHash)).toBe(false)
        expect(await verifyPassword(hash as PasswordHash, password)).toBe(true)
        expect(await verifyPassword(hash as PasswordHash, `${password}x`)).toBe(false)
      }
    },
  )

  test('has a random salt and the given iterations', async () => {
    const one = await hashPassword('x', { iterations: 7 })
    expect(one).toMatch(/^\$7\$7\$[A-Za-z0-9+/]{16}\$[A-Za-z0-9+/]{86}==$/)
    expect(await hashPassword('x', { iterations: 7 })).not.toBe(one)
    expect(await hashPassword('x')).toMatch(/^\$7\$20000\$/)
    expect(await hashPassword('x', { algorithm: 'sha512' })).toMatch(/^\$6\$[^$]{16}\$[^$]{88}$/)
  })

  test.each([
    ['', 'empty'],
    ['a\0b', 'NUL'],
    ['a'.repeat(65_536), 'longer'],
  ])('is refused for a password that Mosquitto does not accept', async (password, message) => {
    await expect(hashPassword(password)).rejects.toThrow(message)
  })

  test.each([0, -1, 1.5, Number.NaN, ITERATIONS_MAX + 1])(
    'is refused with %d iterations',
    async (iterations) => {
      await expect(hashPassword('x', { iterations })).rejects.toThrow(RangeError)
    },
  )
})

test.each([
  ['', 'plain_text'],
  ['secret', 'plain_text'],
  ['$5$a$b', 'plain_text'],
  ['$6$', 'hash_form'],
  [`$6$${base64(12)}`, 'hash_form'],
  [`$6$${base64(12)}$${base64(64)}$`, 'hash_form'],
  [`$7$${base64(12)}$${base64(64)}`, 'hash_form'],
  [`$7$0$${base64(12)}$${base64(64)}`, 'iterations'],
  [`$7$1e3$${base64(12)}$${base64(64)}`, 'iterations'],
  [`$7$4294967296$${base64(12)}$${base64(64)}`, 'iterations'],
  [`$7$${'9'.repeat(400)}$${base64(12)}$${base64(64)}`, 'iterations'],
  [`$6$${base64(12)}$${base64(64).replace(/=+$/, '')}`, 'base64'],
  [`$6$${base64(12)}$${base64(64)}:x`, 'base64'],
  [`$6$${base64(12)}$-${base64(64).slice(1)}`, 'base64'],
  [`$6$$${base64(64)}`, 'salt_length'],
  [`$6$${base64(16)}$${base64(64)}`, 'salt_length'],
  [`$6$${base64(12)}$${base64(32)}`, 'hash_length'],
  ['$argon2id$v=19$m=1$a$b', 'hash_form'],
])('the text "%s" is reported as an invalid hash: %s', (text, defect) => {
  expect(parsePasswordHash(text)).toBe(defect)
})

test('parses a hash with a salt of 64 bytes, which Mosquitto 2.0 rejects', () => {
  const hash = parsePasswordHash(`$7$1000$${base64(64)}$${base64(64)}`)
  expect(hash).toMatchObject({ algorithm: 'sha512-pbkdf2', iterations: 1000 })
  expect(hasLongSalt(hash as PasswordHash)).toBe(true)
})

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parsePasswordFile, verifyLogin } from './password-file.ts'
import { hashPassword } from './password-hash.ts'

// Created by mosquitto_passwd 2.0.11: `mosquitto_passwd -b -H sha512 f ann 'pä:ss $w'`, and without -H.
const SHA512 =
  'ann:$6$hyPgIiemfKjZH6FL$2o0n326eKnxXDNA+HsRYZ0Y1j9BGOkVMKyx0aiwiyWL2DdweVlq0V8vsq3X/WOxOTtVXsVF8zF+KrJUfUJI/uQ=='
const PBKDF2 =
  'ann:$7$101$eJxk1JC9bk4SGq6K$H6rlTvJ01jXqpPMVXrQKhJn7HLFYmHmlaXjDO6gpvIaflEYxx4o1jj9DckuGA2ldTXkqv3qoPIu2lcvov8iaJw=='

test('parses lines as Mosquitto does', async () => {
  const hash = await hashPassword('x', { algorithm: 'sha512' })
  const { lines, users } = parsePasswordFile(`# users\n\n ann : ${hash} \r\nnonsense\nbob:plain:text\n`)
  expect(lines.map(({ number, kind }) => [number, kind])).toEqual([
    [1, 'comment'],
    [2, 'blank'],
    [3, 'user'],
    [4, 'no_colon'],
    [5, 'user'],
  ])
  expect(lines[2]).toMatchObject({ user: 'ann', secret: hash, hash: { algorithm: 'sha512' } })
  expect(lines[4]).toMatchObject({ user: 'bob', secret: 'plain:text', hash: 'plain_text' })
  expect([...users.keys()]).toEqual(['ann'])
})

async function line(password: string): Promise<string> {
  return `ann:${await hashPassword(password, { algorithm: 'sha512' })}\n`
}

test('an empty file has no lines, and the last line may lack a line feed', () => {
  expect(parsePasswordFile('').lines).toEqual([])
  expect(parsePasswordFile('a').lines).toHaveLength(1)
  expect(parsePasswordFile('a\n').lines).toHaveLength(1)
})

describe('a login', () => {
  test.each([SHA512, PBKDF2])('is verified with a hash from mosquitto_passwd: %s', async (line) => {
    const file = parsePasswordFile(`${line}\n`)
    expect(await verifyLogin(file, 'ann', 'pä:ss $w')).toBe(true)
    for (const wrong of ['pä:ss $', 'pä:ss $w ', 'pa:ss $w', '', 'pä:ss $w\0'])
      expect(await verifyLogin(file, 'ann', wrong)).toBe(false)
    expect(await verifyLogin(file, 'bob', 'pä:ss $w')).toBe(false)
  })

  test('uses the last valid line of a user', async () => {
    const file = parsePasswordFile(`${await line('one')}${await line('two')}ann:three\n`)
    expect(await verifyLogin(file, 'ann', 'two')).toBe(true)
    for (const wrong of ['one', 'three']) expect(await verifyLogin(file, 'ann', wrong)).toBe(false)
  })

  test('fails for user names that are properties of every JavaScript object', async () => {
    for (const user of ['__proto__', 'constructor', ''])
      expect(await verifyLogin(parsePasswordFile(`${SHA512}\n`), user, 'x')).toBe(false)
  })

  test('throws for argon2id, which cannot be verified', async () => {
    const file = parsePasswordFile('ann:$argon2id$v=19$m=47104,t=1,p=1$c2FsdHNhbHQ$aGFzaA\n')
    await expect(verifyLogin(file, 'ann', 'x')).rejects.toThrow('argon2id')
    expect(await verifyLogin(file, 'bob', 'x')).toBe(false)
  })
})

test('parses any text without an exception or loss', () => {
  const piece = fc.oneof(
    fc.constantFrom(
      '\n',
      '\r\n',
      ':',
      '$6$',
      '$7$',
      '$101$',
      '$argon2id$v=19$',
      '#',
      ' ',
      '\0',
      '=',
      'ann',
      'AAAA',
    ),
    fc.string({ maxLength: 12 }),
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
      const text = pieces.join('')
      const { lines } = parsePasswordFile(text)
      expect(lines.map((line) => line.text).join('\n')).toBe(text.replace(/\n$/, ''))
    }),
    { numRuns: 2000 },
  )
})

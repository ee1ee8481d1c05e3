import { isCleanLevel } from '@inferwire/protocol'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isPlainUserName, trimBlanks, userNameMistake } from './user-name.ts'

test('rejects a name that is not a single topic level, or that a password file cannot store, and returns the reason', () => {
  for (const [name, reason] of [
    ['', 'is empty'],
    ['a/b', 'two topic levels'],
    ['+', 'wildcard'],
    ['a#', 'wildcard'],
    ['a:b', '":"'],
    ['a\0b', 'control characters'],
    ['a\nb', 'control characters'],
    ['a\u0085b', 'control characters'],
    ['a'.repeat(256), 'too long'],
    [' a', 'white space'],
    ['a ', 'white space'],
    ['a\ud800', 'Unicode'],
  ]) {
    expect(userNameMistake(name!), name).toContain(reason)
  }
})

test('accepts only names that are a single topic level and remain unchanged in a password file', () => {
  const name = fc.oneof(
    fc.string({ maxLength: 8 }),
    fc.string({ unit: 'grapheme', maxLength: 8 }),
    fc.constantFrom('%u', '$SYS', '.', '..', 'Line 3', 'müller', 'a*'),
  )
  fc.assert(
    fc.property(name, (text) => {
      fc.pre(userNameMistake(text) === undefined)
      expect(isCleanLevel(text)).toBe(true)
      const line = `${text}:x`
      expect(trimBlanks(line.slice(0, line.indexOf(':')))).toBe(text)
    }),
    { numRuns: 1000 },
  )
})

test('accepts every plain name', () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[A-Za-z0-9_.@-]{1,64}$/), (name) => {
      expect(isPlainUserName(name)).toBe(true)
      expect(userNameMistake(name)).toBeUndefined()
    }),
  )
  for (const name of ['line 3', 'müller', 'a'.repeat(65), 'a\n']) expect(isPlainUserName(name)).toBe(false)
})

test('removes the white space that Mosquitto removes, in linear time', () => {
  expect(trimBlanks('\t\n\v\f\r a b \r\n')).toBe('a b')
  expect(trimBlanks('\u00a0a\u3000')).toBe('\u00a0a\u3000')
  expect(trimBlanks(' '.repeat(1_000_000))).toBe('')
})

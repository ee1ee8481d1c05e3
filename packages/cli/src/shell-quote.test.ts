import { execFileSync } from 'node:child_process'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { shellLine, shellQuote, ShellSource } from './shell-quote.ts'

test('does not quote a word that is safe in a shell', () => {
  expect(shellQuote('infer/request/cam7/iris/predict')).toBe('infer/request/cam7/iris/predict')
})

test('quotes JSON, a quotation mark and an empty word', () => {
  expect(shellQuote('{"a":[1, 2]}')).toBe(`'{"a":[1, 2]}'`)
  expect(shellQuote("it's")).toBe(`'it'\\''s'`)
  expect(shellQuote('')).toBe(`''`)
})

test('a real shell reads every quoted word back unchanged', () => {
  // A process argument cannot contain NUL.
  const word = fc.string({ unit: 'grapheme' }).filter((text) => !text.includes('\0'))
  fc.assert(
    fc.property(fc.array(word, { minLength: 1, maxLength: 5 }), (words) => {
      const output = execFileSync('sh', ['-c', `printf '%s\\0' ${shellLine(words)}`])
      expect(output.toString().split('\0').slice(0, -1)).toEqual(words)
    }),
    { numRuns: 50 },
  )
})

test('does not quote a part marked as ShellSource', () => {
  expect(shellLine(['-P', new ShellSource('"$(cat f)"')])).toBe('-P "$(cat f)"')
})

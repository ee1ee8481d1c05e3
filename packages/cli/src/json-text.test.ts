import fc from 'fast-check'
import { expect, test } from 'vitest'
import { compactJson, indentJson, jsonText } from './json-text.ts'

test('formats any JSON text like JSON.stringify', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.constantFrom(undefined, 1, '\t', 4), (value, space) => {
      const text = JSON.stringify(value, null, space)
      expect(indentJson(text)).toBe(JSON.stringify(value, null, 2))
      expect(compactJson(text)).toBe(JSON.stringify(value))
    }),
  )
})

test.each([
  '9007199254740993',
  '1e400',
  '-0',
  '1.0',
  '1E-7',
  '123456789012345678901234567890',
  '"\\u00e9\\/"',
])('keeps the notation of the value %s', (value) => {
  expect(indentJson(`{"a":[${value}]}`)).toBe(`{\n  "a": [\n    ${value}\n  ]\n}`)
  expect(compactJson(` { "a" :\r\n[ ${value} ] } `)).toBe(`{"a":[${value}]}`)
})

test('returns compact JSON text unchanged', () => {
  const text = '{"a b":[1,"\\" {",true]}'
  expect(compactJson(text)).toBe(text)
})

test('keeps all members that have the same name', () => {
  expect(compactJson('{"a": 1, "a": 2}')).toBe('{"a":1,"a":2}')
})

test('does not indent very deeply nested JSON', () => {
  const deep = `${'['.repeat(10_000)}${']'.repeat(10_000)}`
  expect(indentJson(deep)).toBe(deep)
})

test('handles a string with millions of escapes', () => {
  const text = `{"a":"${'\\\\\\"'.repeat(3_000_000)}","b":1}`
  expect(compactJson(text) === text).toBe(true)
})

test('accepts only UTF-8 text that JSON.parse accepts', () => {
  expect(jsonText(Buffer.from('\ufeff{"a":1}'))).toBe('{"a":1}')
  expect(jsonText(Buffer.from('0.87'))).toBe('0.87')
  for (const bytes of [Buffer.from('[NaN]'), Buffer.from(''), Buffer.from([0x22, 0xe9, 0x22])]) {
    expect(jsonText(bytes)).toBeUndefined()
  }
})

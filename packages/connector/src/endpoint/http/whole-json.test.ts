import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { isWholeJson } from './whole-json.ts'

const isWhole = (text: string): boolean => isWholeJson(Buffer.from(text))
const many = `[${'{"a":"}"},'.repeat(100)}{}]`

test('every JSON text is whole, with any space around it', () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 4 }), fc.constantFrom('', ' ', '\n', '\t\r\n '), (text, space) => {
      expect(isWhole(space + text + space)).toBe(true)
    }),
  )
})

test('a list or an object that is cut short anywhere is not whole', () => {
  // Brackets in strings may make up for those that are cut off.
  const string = fc.string({ unit: fc.constantFrom(...Array.from('ab ,:"\\\n\u00e9')) })
  const object = fc.object({ key: string, values: [string, fc.double(), fc.boolean(), fc.constant(null)] })
  fc.assert(
    fc.property(fc.oneof(object, fc.array(object, { maxLength: 9 })), fc.nat(), (value, seed) => {
      const text = JSON.stringify(value)
      expect(isWhole(text.slice(0, seed % text.length))).toBe(false)
    }),
  )
})

test('two texts one behind the other are not one text, whatever is in them', () => {
  const text = fc.json({ maxDepth: 3 })
  fc.assert(
    fc.property(text, text, fc.constantFrom(' ', '\n', '\r\n'), (first, second, space) => {
      expect(isWhole(first + space + second)).toBe(false)
    }),
  )
})

test.each([
  '0.87',
  '-1e-7',
  'null',
  'true',
  '"ok"',
  '"a \\" quote"',
  '[]',
  '{}',
  // Python's writer, at the top and inside.
  'NaN',
  '-Infinity',
  '{"predictions":[NaN]}',
  '{"label":"}{"}',
  '{"label":"{"}',
  '["]["]',
  '\ufeff{"predictions":[1]}',
  many,
])('%s is whole', (text) => {
  expect(isWhole(text)).toBe(true)
})

// The same, above the size from which on the searches decide.
const LONG = `{"a":"${'x'.repeat(300)}"}`

test.each([`${LONG}{}`, `${LONG}\t${LONG}`, `${LONG} 1 {}`, `${LONG.slice(0, -1)},"b":{}`, `[${LONG}][]`])(
  'a long text is not whole either: %s',
  (text) => {
    expect(isWhole(text)).toBe(false)
  },
)

test.each([LONG, `{"b":[${LONG},{"c":{}}] }`, LONG.replace('x', '}{'), LONG.replace('x', '{')])(
  'a long text is whole: %s',
  (text) => {
    expect(isWhole(text)).toBe(true)
  },
)

test.each([
  '{"a":1},{"b":2}',
  '{"a":1}}',
  '',
  ' \n',
  'ok',
  '0.',
  '.5',
  '01',
  '+1',
  'nul',
  '"a',
  '"a\\"',
  '{',
  '}',
  '{]',
  '{"a":1}{"a":2}',
  '{"a":1}\n{"a":2}\n',
  '[1][2]',
  '{"outputs":[{"name":"a"}',
  '{"a":"}"}{"a":2}',
  `{"a":${many}}{"a":2}`,
  `{"a":${many}}\n{"a":2}`,
  `${many}${many}`,
  `${many}\n[1]`,
  '1 2',
  '"a""b"',
  '\ufeff',
  '\ufeff\ufeff{}',
  '9'.repeat(2_000),
])('%j is not whole', (text) => {
  expect(isWhole(text)).toBe(false)
})

test('whatever the bytes are: true or false, and true only where JSON has a value', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 30 }), (bytes) => {
      const isOne = isWholeJson(Buffer.from(bytes))
      if (isOne) expect(Buffer.from(bytes).toString('latin1').trim()).not.toBe('')
    }),
    { numRuns: 2_000 },
  )
})

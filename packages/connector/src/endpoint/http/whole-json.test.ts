import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { isWholeJson, SCANNED_BYTES_MAX } from './whole-json.ts'

const isWhole = (text: string): boolean => isWholeJson(Buffer.from(text))
const many = `[${'{"a":"}"},'.repeat(100)}{}]`

// JSON texts from single values to arrays of up to 100 objects.
function textsWith(alphabet: string): fc.Arbitrary<string> {
  const string = fc.string({ unit: fc.constantFrom(...Array.from(alphabet)) })
  const number = fc.double({ noNaN: true, noDefaultInfinity: true })
  const leaf = fc.oneof(string, number, fc.boolean(), fc.constant(null))
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 3 },
      leaf,
      fc.array(tie('value')),
      fc.dictionary(string, tie('value'), { maxKeys: 3 }),
    ),
  }))
  const list = fc.array(fc.dictionary(string, value, { maxKeys: 2 }), {
    minLength: 1,
    maxLength: 100,
    size: 'max',
  })
  const space = fc.constantFrom(undefined, 1, '\t')
  const any = fc.oneof(value, list, fc.record({ predictions: list }))
  return fc.tuple(any, space).map(([each, layout]) => JSON.stringify(each, null, layout))
}

// Texts whose strings contain no brackets, and texts whose strings contain unbalanced brackets.
const text = fc.oneof(textsWith('ab ,:\u00e9'), textsWith('ab {}[],:"\\\n'))

const cutOff = fc.tuple(text, fc.nat(), fc.boolean()).map(([whole, seed, isAtBracket]) => {
  const ends = isAtBracket ? [...whole.matchAll(/[\]}]/g)].map(({ index }) => index + 1) : []
  return whole.slice(0, ends[seed % ends.length] ?? seed % (whole.length + 1))
})
const separator = fc.constantFrom('', ' ', '\n', '\r\n', '\n\n', '\t', ',', ', ', ' , ')

test.each<[what: string, texts: fc.Arbitrary<string>]>([
  ['with white space around it', fc.tuple(separator, text, separator).map((parts) => parts.join(''))],
  ['truncated at any position', cutOff],
  ['followed by another text', fc.tuple(text, separator, text).map((parts) => parts.join(''))],
])('agrees with JSON.parse on a text %s', (_what, texts) => {
  fc.assert(
    fc.property(texts, (each) => {
      fc.pre(Buffer.byteLength(each) <= SCANNED_BYTES_MAX)
      expect(isWhole(each)).toBe(isJson(each))
    }),
    { numRuns: 500 },
  )
})

function isJson(each: string): boolean {
  try {
    JSON.parse(each)
    return true
  } catch {
    return false
  }
}

test.each([
  '0.87',
  '-1e-7',
  'null',
  'true',
  '"ok"',
  '"a \\" quote"',
  '[]',
  '{}',
  // NaN from Python's encoder, at the top level and nested.
  'NaN',
  '-Infinity',
  '{"predictions":[NaN]}',
  '{"label":"}{"}',
  '{"label":"{"}',
  '["]["]',
  '\ufeff{"predictions":[1]}',
  many,
])('accepts the JSON text %s', (text) => {
  expect(isWhole(text)).toBe(true)
})

const long = (length: number): string => `{"a":"${'x'.repeat(length)}"}`

test('checks only the beginning and the end of a very long text', () => {
  const inside = long(SCANNED_BYTES_MAX / 2)
  expect(isWhole(inside + inside.slice(0, -20))).toBe(false)
  expect(isWhole(long(SCANNED_BYTES_MAX) + '{}')).toBe(true)
  expect(isWhole(long(SCANNED_BYTES_MAX) + '{')).toBe(false)
})

const LONG = `{"a":"${'x'.repeat(400)}"}`
const EIGHTY = `{"p":[${'{"a":1},'.repeat(80)}`

test.each([
  `${LONG}{}`,
  `${LONG}\t${LONG}`,
  `${LONG} 1 {}`,
  `${LONG.slice(0, -1)},"b":{}`,
  `[${LONG}][]`,
  `${LONG},{"b":1}`,
  `[1,${LONG}],[2]`,
  `${EIGHTY}0]}\r\n{"p":[]}`,
  `${EIGHTY}0]} {"p":[]}`,
  `${EIGHTY}0]}\n\n{"p":[]}`,
  EIGHTY.slice(0, -1),
])('rejects the long text %s', (text) => {
  expect(isWhole(text)).toBe(false)
})

test.each([LONG, `{"b":[${LONG},{"c":{}}] }`, LONG.replace('x', '}{'), LONG.replace('x', '{')])(
  'accepts the long text %s',
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
])('rejects the text %j', (text) => {
  expect(isWhole(text)).toBe(false)
})

test('handles any bytes, and accepts everything that JSON.parse accepts', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 30 }), (bytes) => {
      const body = Buffer.from(bytes)
      const isOne = isWholeJson(body)
      if (isJson(body.toString('latin1'))) expect(isOne).toBe(true)
    }),
    { numRuns: 2_000 },
  )
})

import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { JSON_DEPTH_MAX, JsonSyntaxError, parseJson, type JsonOptions } from './json.ts'

const parse = (text: string, options?: JsonOptions) => parseJson(Buffer.from(text), options)

test('reads the output of JSON.stringify', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 5 }), fc.constantFrom('', ' ', '\t'), (value, indent) => {
      const text = JSON.stringify(value, null, indent)
      // The values are compared as text, because parsed objects have no prototype.
      expect(JSON.stringify(parse(text), exact)).toBe(JSON.stringify(JSON.parse(text)))
    }),
  )
})

test('ignores a byte order mark before the text, but not within a string', () => {
  expect(parse('\ufeff["\ufeffa"]')).toEqual(['\ufeffa'])
  expect(() => parse('\ufeff\ufeff[]')).toThrow(JsonSyntaxError)
})

test('accepts and rejects the same input as JSON.parse', () => {
  const token = fc.constantFrom(
    ...Array.from('[]{}:,"\\ \n'),
    '0',
    '1.',
    '-',
    'e5',
    'true',
    'null',
    '"a"',
    '\\u00',
    '\u0001',
  )
  fc.assert(
    fc.property(fc.array(token, { maxLength: 12 }), (tokens) => {
      const text = tokens.join('')
      expect(outcome(() => parse(text))).toBe(outcome(() => JSON.parse(text) as unknown))
    }),
    { numRuns: 3000 },
  )
})

test('throws no error other than JsonSyntaxError, whatever the bytes are', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      try {
        parseJson(bytes, { nonFinite: true })
      } catch (error) {
        expect(error).toBeInstanceOf(JsonSyntaxError)
      }
    }),
  )
})

test('keeps integers exact even if a double would round them', () => {
  expect(parse('[9007199254740993, -9223372036854775808, 18446744073709551615, 7]')).toEqual([
    9007199254740993n,
    -9223372036854775808n,
    18446744073709551615n,
    7,
  ])
})

test('rejects numbers that a double cannot represent, and NaN unless it is enabled', () => {
  for (const text of ['1e400', '-1e400', '9'.repeat(400), 'NaN', '-Infinity', '[Infinity]']) {
    expect(() => parse(text)).toThrow(JsonSyntaxError)
  }
  expect(parse('[NaN, Infinity, -Infinity]', { nonFinite: true })).toEqual([NaN, Infinity, -Infinity])
})

test('treats __proto__ as an ordinary key', () => {
  const object = parse('{"__proto__": {"polluted": true}, "constructor": 1}') as Record<string, unknown>
  expect(Object.keys(object)).toEqual(['__proto__', 'constructor'])
  expect(object['polluted']).toBeUndefined()
  expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
})

test('stops at the nesting limit instead of exhausting the stack', () => {
  expect(parse(nested(JSON_DEPTH_MAX))).toHaveLength(1)
  expect(() => parse(nested(JSON_DEPTH_MAX + 1))).toThrow('Nested deeper than 100 levels')
  expect(() => parse('{"a":'.repeat(1_000_000))).toThrow('Nested deeper')
})

test('reports the position of an error', () => {
  expect(() => parse('{"a": }')).toThrow(expect.objectContaining({ offset: 6 }) as Error)
})

function nested(depth: number): string {
  return '['.repeat(depth) + ']'.repeat(depth)
}

function exact(_key: string, value: unknown): unknown {
  // JSON.stringify cannot write bigints. Only integers that JSON.parse would round are bigints here.
  return typeof value === 'bigint' ? Number(value) : value
}

function outcome(read: () => unknown): string {
  try {
    read()
    return 'taken'
  } catch {
    return 'refused'
  }
}

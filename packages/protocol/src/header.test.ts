import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isAllowableHeader, passedHeaders, PASSED_HEADERS_MAX } from './header.ts'

const TRACEPARENT = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
const ALLOWED = new Set(['x-line', 'x-shift'])

// Names of headers that determine identity, routing or framing.
const DANGEROUS = `
  authorization cookie host content-length content-type transfer-encoding connection
  x-forwarded-for x-real-ip kubeflow-userid kserve-x proxy-authorization sec-fetch-site
  ce-id x-envoy-original-path te upgrade expect accept-encoding idempotency-key
`
  .trim()
  .split(/\s+/)
const anyCase = (name: string): fc.Arbitrary<string> =>
  fc
    .array(fc.boolean(), { minLength: name.length, maxLength: name.length })
    .map((upper) => Array.from(name, (char, index) => (upper[index] ? char.toUpperCase() : char)).join(''))
const name = fc.oneof(
  fc.constantFrom(...DANGEROUS, ...ALLOWED, 'traceparent', 'tracestate').chain(anyCase),
  fc.constantFrom(
    'x-line ',
    ' x-line',
    'x-line\r\nhost',
    'x_line',
    'x-line:',
    '__proto__',
    'constructor',
    '',
  ),
  fc.string({ unit: 'binary', maxLength: 80 }),
)
const value = fc.oneof(
  fc.constantFrom(TRACEPARENT, '1', '', 'a\r\nhost: evil', 'a\0', 'ü', 'x'.repeat(1025)),
  fc.string({ unit: 'binary', maxLength: 40 }),
)

test('10,000 random lists of names and values never add a header that is not allowed', () => {
  const openable = new Set([...ALLOWED, 'traceparent', 'tracestate'])
  fc.assert(
    fc.property(fc.array(fc.tuple(name, value), { maxLength: 6 }), (pairs) => {
      const headers = passedHeaders(pairs.flat(), ALLOWED)
      const names = headers.filter((_, index) => index % 2 === 0)
      expect(names.every((each) => openable.has(each))).toBe(true)
      expect(new Set(names).size).toBe(names.length)
      for (let index = 0; index < headers.length; index += 2) {
        const [key, text] = [headers[index]!, headers[index + 1]!]
        expect(pairs).toContainEqual([key, text])
        expect(text).toMatch(/^[\x20-\x7e]{0,1024}$/)
      }
    }),
    { numRuns: 10_000 },
  )
})

test('no configuration allows headers for identity, routing or framing', () => {
  for (const header of DANGEROUS) {
    expect(isAllowableHeader(header)).toBe(false)
    expect(passedHeaders([header, 'x'], new Set([header]))).toEqual([])
  }
  for (const header of ['X-Line', 'x line', 'x-line:', '', 'x'.repeat(65), 'ü']) {
    expect(isAllowableHeader(header)).toBe(false)
  }
  expect(isAllowableHeader('x-line')).toBe(true)
})

test('uses only the first of several headers with the same name, and a limited number of headers', () => {
  expect(passedHeaders(['x-line', '1', 'x-line', '2'], ALLOWED)).toEqual(['x-line', '1'])
  const names = Array.from({ length: PASSED_HEADERS_MAX + 5 }, (_, index) => `x-${index}`)
  const all = names.flatMap((each) => [each, 'v'])
  expect(passedHeaders(all, new Set(names))).toHaveLength(2 * PASSED_HEADERS_MAX)
})

test('an invalid trace context is omitted', () => {
  expect(passedHeaders(['traceparent', TRACEPARENT, 'tracestate', 'a=b'], ALLOWED)).toEqual([
    'traceparent',
    TRACEPARENT,
    'tracestate',
    'a=b',
  ])
  for (const broken of ['', 'x', TRACEPARENT.toUpperCase(), `${TRACEPARENT}\n`, `${TRACEPARENT}-1`]) {
    expect(passedHeaders(['traceparent', broken], ALLOWED)).toEqual([])
  }
})

test('ignores a name without a value', () => {
  expect(passedHeaders(['x-line'], ALLOWED)).toEqual([])
})

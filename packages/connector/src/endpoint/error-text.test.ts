import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readErrorText, shownBody, shownText } from './error-text.ts'

const shown = (body: string, encoding: 'utf8' | 'latin1' = 'utf8'): string | undefined => {
  const bytes = shownBody(Buffer.from(body, encoding), 'first-line')
  return bytes === undefined ? undefined : Buffer.from(bytes).toString(encoding)
}

test.each([
  ['KServe', '{"error":"ValueError : boom"}', 'ValueError : boom'],
  ['OpenAI', '{"error":{"message":"too long","type":"x"}}', 'too long'],
  ['FastAPI', '{"detail":"Not Found"}', 'Not Found'],
  ['TorchServe', '{"code":404,"type":"X","message":"Model not found: a"}', 'Model not found: a'],
  ['escapes', '{"error":"a \\"b\\" \\u20ac\\n"}', 'a "b" €'],
  ['JSON without a known member', '{"x":1}', '{"x":1}'],
  ['text', ' Bad Gateway\r\n', 'Bad Gateway'],
  ['an error quoted in another member', '{"x":"\\"error\\": \\"y\\""}', '{"x":"\\"error\\": \\"y\\""}'],
  ['an empty body', '', ''],
])('reads the text of an error: %s', (_what, body, text) => {
  expect(readErrorText(Buffer.from(body))).toBe(text)
})

test('reads a long text that is truncated within an escape sequence', () => {
  for (let length = 262_100; length < 262_150; length++) {
    const body = `{"error":"boom\\n/a.py ${'a'.repeat(length)}\\u20ac\\n"}`
    expect(shownText(readErrorText(Buffer.from(body)), 'first-line')).toBe('boom')
  }
})

test('truncates each string in a JSON body after its first line, and leaves everything else unchanged', () => {
  const body = '{ "error" : "boom\\nAt: /a.py", "cause":["x\\r\\n/b","one line"], "n":9007199254740993 }'
  expect(shown(body)).toBe('{ "error" : "boom", "cause":["x","one line"], "n":9007199254740993 }')
})

test.each([
  ['\n\n  boom\n/a.py', 'boom'],
  ['{"error":"half\nway', '{"error":"half'],
  ['boom\u2028/a.py', 'boom'],
  [
    'Traceback (most recent call last):\n  File "/a.py"\nKeyError: 1\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File "/b.py"\n\n    x\nValueError: two\nsecond line /c.py\n',
    'ValueError: two',
  ],
  ['Traceback (most recent call last):\r\n  File "/a.py"\r\nOSError: gone\r\n', 'OSError: gone'],
  ['Traceback (most recent call last):\n  File "/a.py"', 'Traceback (most recent call last):'],
])('shortens %j to %j', (text, line) => {
  expect(shown(text)).toBe(line)
})

test('truncates the strings in a JSON body that begins with a byte order mark', () => {
  expect(shown('\ufeff{"error":"boom\\nAt: /a.py"}')).toBe('\ufeff{"error":"boom"}')
})

test('does not copy a body that needs no change, whatever its encoding', () => {
  for (const body of [Buffer.from('{"error":"boom"}'), Buffer.from([0x66, 0xfc, 0x72])]) {
    expect(shownBody(body, 'first-line')).toBe(body)
  }
})

test('preserves the bytes of other charsets when it truncates a body', () => {
  expect(shown('f\xfcr\n/a.py', 'latin1')).toBe('f\xfcr')
  expect(shown('{"error":"f\xfcr \\u20ac\\n/a.py","x":"\xfc"}', 'latin1')).toBe(
    '{"error":"f\xfcr \\u20ac","x":"\xfc"}',
  )
})

test('does not split a surrogate pair', () => {
  expect(shownText(`${'a'.repeat(999)}😀`, 'first-line')).toBe('a'.repeat(999))
})

test('never shows a second line, and keeps JSON valid', () => {
  const member = fc.oneof(
    fc.string({ unit: 'grapheme' }),
    fc.constantFrom('a\nb', 'Traceback (most recent call last):\n x'),
  )
  fc.assert(
    fc.property(fc.record({ error: member, detail: fc.array(fc.record({ msg: member })) }), (error) => {
      const { error: text, detail } = JSON.parse(shown(JSON.stringify(error))!) as typeof error
      for (const each of [text, ...detail.map(({ msg }) => msg)])
        expect(each).not.toMatch(/[\n\r\u2028\u2029]/)
    }),
  )
})

test('processes hostile bodies quickly: unterminated strings, many quotes, deep nesting', () => {
  for (const piece of ['"', '\\"', '"error":"', '{"error":', '\n', ' \n', '[']) {
    const startedAtMs = performance.now()
    const body = Buffer.from(`{${piece.repeat(250_000 / piece.length)}`)
    shownBody(body, 'first-line')
    readErrorText(body)
    expect(performance.now() - startedAtMs).toBeLessThan(500)
  }
  const trace = Buffer.from(`Traceback (most recent call last):\n${'  x\n'.repeat(15_000)}`)
  expect(shownBody(trace, 'first-line')).toBeDefined()
})

import { expect, test } from 'vitest'
import { answerLine, formatAnswer, type Answer } from './infer-output.ts'

const answer: Answer = {
  model: 'iris',
  operation: 'predict',
  status: 200,
  durationMs: 5.23,
  serverTiming: 'queue;dur=0.4, upstream;dur=3.1',
  contentType: 'application/json',
  inferenceHeaderContentLength: undefined,
  body: Buffer.from('{"predictions":[1]}'),
}

test('format body: prints the bytes unchanged', () => {
  expect(formatAnswer(answer, 'body')).toBe(answer.body)
})

test('format pretty: indents JSON and prints other bytes unchanged', () => {
  expect(formatAnswer(answer, 'pretty')).toBe('{\n  "predictions": [\n    1\n  ]\n}\n')
  const binary = Buffer.from([0xff, 0x00])
  expect(formatAnswer({ ...answer, body: binary }, 'pretty')).toBe(binary)
})

test('format json: prints one object with status, timing and body', () => {
  expect(JSON.parse(formatAnswer(answer, 'json') as string)).toEqual({
    model: 'iris',
    operation: 'predict',
    status: 200,
    duration_ms: 5.23,
    server_timing: 'queue;dur=0.4, upstream;dur=3.1',
    content_type: 'application/json',
    body: { predictions: [1] },
  })
  const binary = JSON.parse(
    formatAnswer({ ...answer, body: Buffer.from([0xff]) }, 'json') as string,
  ) as object
  expect(binary).toMatchObject({ body_base64: '/w==' })
})

test.each(['body', 'lines', 'pretty', 'json'] as const)(
  'format %s: keeps the digits of 9007199254740993 and 1e400',
  (format) => {
    const exact = { ...answer, body: Buffer.from('{"predictions": [9007199254740993, 1e400, 1.0]}') }
    const text = String(formatAnswer(exact, format))
    for (const digits of ['9007199254740993', '1e400', '1.0']) expect(text).toContain(digits)
  },
)

const printed = (body: string | Buffer, contentType: string | undefined): string => {
  const bytes = formatAnswer({ ...answer, body: Buffer.from(body), contentType }, 'lines')
  return Buffer.from(bytes as Uint8Array).toString('latin1')
}

test('format lines: ends JSON with one line break and prints other bytes unchanged', () => {
  expect(printed('{"a":1}', 'application/json')).toBe('{"a":1}\n')
  expect(printed('{"a":1}\n', 'application/json; charset=utf-8')).toBe('{"a":1}\n')
  expect(printed('{"a": 1}', 'application/problem+json')).toBe('{"a": 1}\n')
  // A bridge may have dropped the content type.
  expect(printed('0.87', undefined)).toBe('0.87\n')
  expect(printed('', 'application/json')).toBe('')
  expect(printed('5', 'application/octet-stream')).toBe('5')
  expect(printed('a,b', 'text/csv')).toBe('a,b')
  expect(printed(Buffer.from([0xff]), undefined)).toBe('\u00ff')
})

test('format json: prints a multi-line body on one line, and omits an empty body', () => {
  const line = formatAnswer({ ...answer, body: Buffer.from('{\n  "a": "x\\ny"\n}\n') }, 'json') as string
  expect(line.split('\n')).toHaveLength(2)
  expect(JSON.parse(line)).toMatchObject({ body: { a: 'x\ny' } })
  expect(JSON.parse(formatAnswer({ ...answer, body: Buffer.alloc(0) }, 'json') as string)).not.toHaveProperty(
    'body',
  )
})

test('format json: includes the length of the JSON that precedes binary tensors', () => {
  const json = '{"outputs":[]}'
  const binary = {
    ...answer,
    contentType: 'application/octet-stream',
    inferenceHeaderContentLength: String(json.length),
    body: Buffer.from(`${json}\u0001`),
  }
  const read = JSON.parse(formatAnswer(binary, 'json') as string) as {
    inference_header_content_length: number
    body_base64: string
  }
  const bytes = Buffer.from(read.body_base64, 'base64')
  expect(bytes.subarray(0, read.inference_header_content_length).toString()).toBe(json)
  // The body is encoded as base64 even if it is valid JSON.
  const bare = { ...binary, body: Buffer.from(json) }
  expect(JSON.parse(formatAnswer(bare, 'json') as string)).toHaveProperty('body_base64')
  expect(formatAnswer(bare, 'lines')).toBe(bare.body)
  expect(answerLine(binary)).toContain('inference-header-content-length=14')
})

test('removes terminal control characters from the status line', () => {
  expect(answerLine(answer)).toBe('200  5.2 ms  queue;dur=0.4, upstream;dur=3.1\n')
  expect(answerLine({ ...answer, serverTiming: '\u001b[2J' })).not.toContain('\u001b')
})

import type { StreamPart } from '@inferwire/client'
import { expect, test } from 'vitest'
import type { BodyFormat } from './infer-output.ts'
import { formatEnd, formatPart } from './stream-output.ts'

const lineOf = (body: string | Uint8Array, format: BodyFormat): string => {
  const part = { seq: 3, body: Buffer.from(body), contentType: undefined } as unknown as StreamPart
  return Buffer.from(formatPart(part, format)).toString('latin1')
}

test('writes each part as one line', () => {
  const pretty = '{\n  "a": 9007199254740993\n}'
  for (const format of ['lines', 'pretty'] as const) {
    expect(lineOf(pretty, format)).toBe('{"a":9007199254740993}\n')
    expect(lineOf('plain text', format)).toBe('plain text\n')
  }
  expect(lineOf(pretty, 'body')).toBe(`${pretty}\n`)
  expect(lineOf(Buffer.from([0xff]), 'lines')).toBe('\u00ff\n')
})

test('with the format json, each part is an object, and the last line contains the details of the answer', () => {
  expect(lineOf('{"a": 1.0}', 'json')).toBe('{"seq":3,"body":{"a":1.0}}\n')
  expect(lineOf(Buffer.from([0xff]), 'json')).toBe('{"seq":3,"body_base64":"/w=="}\n')
  const answer = {
    model: 'm',
    operation: 'chat',
    status: 200,
    durationMs: 1.5,
    serverTiming: undefined,
    contentType: undefined,
    inferenceHeaderContentLength: undefined,
    body: new Uint8Array(),
    usage: { promptTokens: 4, completionTokens: undefined },
  }
  expect(JSON.parse(formatEnd(answer, 'json'))).toEqual({
    model: 'm',
    operation: 'chat',
    status: 200,
    duration_ms: 1.5,
    prompt_tokens: 4,
    final: true,
  })
  expect(formatEnd(answer, 'lines')).toBe('')
})

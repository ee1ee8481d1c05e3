import { expect, test } from 'vitest'
import { answerLine, formatAnswer, type Answer } from './infer-output.ts'

const answer: Answer = {
  model: 'iris',
  operation: 'predict',
  status: 200,
  durationMs: 5.23,
  serverTiming: 'queue;dur=0.4, upstream;dur=3.1',
  contentType: 'application/json',
  body: Buffer.from('{"predictions":[1]}'),
}

test('body: the bytes as they came', () => {
  expect(formatAnswer(answer, 'body')).toBe(answer.body)
})

test('pretty: JSON for a reader, and what is not JSON as it is', () => {
  expect(formatAnswer(answer, 'pretty')).toBe('{\n  "predictions": [\n    1\n  ]\n}\n')
  const binary = Buffer.from([0xff, 0x00])
  expect(formatAnswer({ ...answer, body: binary }, 'pretty')).toBe(binary)
})

test('json: one object with everything', () => {
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

test('the line about the answer cannot move the cursor of a terminal', () => {
  expect(answerLine(answer)).toBe('200  5.2 ms  queue;dur=0.4, upstream;dur=3.1\n')
  expect(answerLine({ ...answer, serverTiming: '\u001b[2J' })).not.toContain('\u001b')
})

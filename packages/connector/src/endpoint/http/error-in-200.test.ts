import { expect, test } from 'vitest'
import { isErrorIn200 } from './error-in-200.ts'

const isError = (body: string): boolean => isErrorIn200(Buffer.from(body))

test.each([
  ["KServe's batcher", '{"message":"boom","batchId":"","predictions":null}'],
  ["the batcher's text with escapes", '{"message":"a \\"b\\" \\\\","batchId":"x\\"","predictions":null}\n'],
  [
    "Triton's generate",
    '{"error":"generate expects model to produce exactly 1 response, use generate stream"}',
  ],
  ['an error with white space', ' { "error" : "boom" } \n'],
  ['an error after a byte order mark', '\ufeff{"error":"boom"}'],
  ['an error of 70 kB', `{"error":"${'x'.repeat(70_000)}"}`],
])('detects an error with status 200: %s', (_what, body) => {
  expect(isError(body)).toBe(true)
})

test.each([
  ['a message and a score', '{"message":"Part 17 is fine.","score":0.93}'],
  ['an error that is a result', '{"error":"bearing worn","confidence":0.8}'],
  ['a null error with a score', '{"error":null,"score":1}'],
  ['an error that is a number', '{"error":0.02}'],
  ['an empty error', '{"error":""}'],
  ['a message alone', '{"message":"Hello."}'],
  ['a batch with predictions', '{"message":"","batchId":"7","predictions":[1]}'],
  ['a batch without a message', '{"message":"","batchId":"7","predictions":null}'],
  ['a batch without the member "predictions"', '{"message":"ok","batchId":"7"}'],
  ['a batch with another member', '{"message":"ok","batchId":"7","predictions":null,"note":1}'],
  ['a message without predictions', '{"message":"boom","predictions":null}'],
  ['two errors', '{"error":"a","error":"b"}'],
  ['an array', '["error"]'],
  ['a value', '"error"'],
  ['an empty body', ''],
  ['a truncated error', '{"error":"boom'],
  ['an error whose closing quote is escaped', '{"error":"boom\\"}'],
])("does not mistake a model's output for an error: %s", (_what, body) => {
  expect(isError(body)).toBe(false)
})

import { expect, test } from 'vitest'
import { findUsage } from './find-usage.ts'

test.each([
  ['{"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}', [1, 2]],
  ['{"data":[],"usage" : {"prompt_tokens": 4,"total_tokens":4}, "model":"m"}', [4, 0]],
  ['{"usage":{"prompt_tokens":1,"details":{"cached":1,"x":"}"}},"a":"usage"}', [1, 0]],
  ['{"text":"\\"usage\\":{\\"prompt_tokens\\":9}","usage":{"prompt_tokens":1}}', [1, 0]],
  ['{"usage":{"prompt_tokens":1},"text":"\\"usage\\":{\\"prompt_tokens\\":9}"}', [1, 0]],
  ['{"a\\"usage":{"prompt_tokens":9}}', undefined],
  ['{"usage":null}', undefined],
  ['{"usage":{"prompt_tokens":-1}}', undefined],
  ['{"usage":{"prompt_tokens":1e400}}', undefined],
  ['{"usage":{"prompt_tokens":"1"}}', undefined],
  ['{"usage":{"prompt_tokens":1', undefined],
  ['{"usage":{"a":"', undefined],
  ['"usage"', undefined],
  ['', undefined],
])('reads the token counts of %s, if there are any', (body, counts) => {
  const [promptTokens, completionTokens] = counts ?? []
  expect(findUsage(Buffer.from(body))).toEqual(counts && { promptTokens, completionTokens })
})

test('examines only a few members of that name, so that an answer with many of them takes little time', () => {
  const body = Buffer.from(`{"a":[${'"usage":{,'.repeat(200_000)}`)
  const startedAtMs = performance.now()
  expect(findUsage(body)).toBeUndefined()
  expect(performance.now() - startedAtMs).toBeLessThan(1_000)
})

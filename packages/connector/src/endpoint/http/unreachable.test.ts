import { expect, test } from 'vitest'
import { unreachable } from './unreachable.ts'

test.each<[string, string]>([
  ['ECONNREFUSED', 'upstream_unreachable'],
  ['UND_ERR_SOCKET', 'upstream_unreachable'],
  ['HPE_INVALID_CONSTANT', 'upstream_invalid_response'],
  ['UND_ERR_INVALID_ARG', 'internal'],
])('converts the error %s to the problem %s', (code, expected) => {
  const problem = unreachable(Object.assign(new Error('why'), { code }), 'POST http://iris/', 'sent')
  expect(problem.code).toBe(expected)
  expect(problem.detail).toBe(`POST http://iris/: ${code} why`)
})

import { expect, test } from 'vitest'
import { Problem, PROBLEMS, type ProblemCode } from './problem.ts'

test('every code has an error status, a condition and a remedy', () => {
  for (const [code, { status, meaning, remedy }] of Object.entries(PROBLEMS)) {
    expect(code).toMatch(/^[a-z]+(_[a-z]+)*$/)
    expect(status).toBeGreaterThanOrEqual(400)
    expect(status).toBeLessThan(600)
    expect(meaning).toMatch(/^[A-Z].*\.$/)
    expect(remedy).toMatch(/^[A-Z].*\.$/)
  }
})

test('the error body contains neither the detail nor the cause', () => {
  const problem = new Problem('upstream_unreachable', 'The model server refuses connections.', {
    detail: 'POST http://10.0.0.7:8080',
    cause: new Error('secret'),
  })
  expect(problem.toBody()).toEqual({
    error: 'The model server refuses connections.',
    code: 'upstream_unreachable',
    status: 502,
    retryable: true,
  })
  expect(JSON.stringify(problem.toBody())).not.toMatch(/10\.0\.0\.7|secret/)
})

test("the model server's status and retry time override the values in the problem table", () => {
  const problem = new Problem('upstream_error', 'x', { status: 429, retryAfterMs: 2000 })
  expect(problem.toBody()).toMatchObject({ status: 429, retryable: true, retry_after_ms: 2000 })
  expect(new Problem('upstream_error', 'x', { status: 400 }).retryable).toBe(false)
})

test('a thrown Problem is kept; any other thrown value becomes an internal Problem that does not reveal details', () => {
  const own = new Problem('bad_topic', 'x')
  expect(Problem.from(own)).toBe(own)
  for (const thrown of [new TypeError('secret'), 'secret', undefined, null, { toString: () => 'secret' }]) {
    const problem = Problem.from(thrown)
    expect(problem.code).toBe('internal' satisfies ProblemCode)
    expect(problem.message).not.toContain('secret')
    expect(problem.cause).toBe(thrown)
  }
})

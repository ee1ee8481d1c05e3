import { PROBLEMS, type ProblemCode } from '@inferwire/protocol'
import { expect, test } from 'vitest'
import { EXIT, EXIT_MEANINGS, exitCodeOf } from './exit-code.ts'

test('every exit code is unique and has a meaning', () => {
  const codes = Object.values(EXIT)
  expect(new Set(codes).size).toBe(codes.length)
  expect(Object.keys(EXIT_MEANINGS)).toEqual(Object.keys(EXIT))
})

test.each([
  ['no_connector', true, 69],
  ['broker_unreachable', true, 69],
  ['not_authorized', false, 77],
  ['forbidden_model', false, 77],
  ['deadline_exceeded', true, 124],
  ['overloaded', true, 75],
  ['model_not_ready', true, 75],
  ['upstream_unreachable', true, 75],
  ['upstream_error', true, 1],
  ['upstream_invalid_response', false, 1],
  ['model_not_found', false, 1],
  ['bad_payload', false, 65],
  ['internal', true, 70],
  ['a_code_of_tomorrow', true, 75],
  ['a_code_of_tomorrow', false, 1],
  ['constructor', false, 1],
])('problem "%s" (retryable: %s) causes exit code %i', (code, isRetryable, exitCode) => {
  expect(exitCodeOf(code, isRetryable)).toBe(exitCode)
})

test('maybe_executed never causes the exit code for "try again later"', () => {
  expect(exitCodeOf('maybe_executed', PROBLEMS.maybe_executed.retryable)).not.toBe(EXIT.temporary)
})

test('every problem code causes a nonzero exit code', () => {
  for (const code of Object.keys(PROBLEMS) as ProblemCode[]) {
    expect(exitCodeOf(code, PROBLEMS[code].retryable), code).toBeGreaterThan(0)
  }
})

import { expect, test } from 'vitest'
import { coalesceMsOf } from './coalesce.ts'

test('reads the number of milliseconds', () => {
  expect(coalesceMsOf(undefined)).toBeUndefined()
  expect(coalesceMsOf(['timeout-ms', '5'])).toBeUndefined()
  expect(coalesceMsOf(['coalesce-ms', '0'])).toBe(0)
  expect(coalesceMsOf(['coalesce-ms', '10000'])).toBe(10_000)
})

test.each(['', '-1', '1.5', '10001', '1e3', 'soon', '99999999999'])('rejects %j as bad_payload', (text) => {
  expect(() => coalesceMsOf(['coalesce-ms', text])).toThrow(
    expect.objectContaining({ code: 'bad_payload' }) as Error,
  )
})

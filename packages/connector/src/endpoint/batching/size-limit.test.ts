// Tests how the sizes of merged calls are limited.
import { expect, test } from 'vitest'
import { createLog } from '../../telemetry/index.ts'
import { SizeLimits } from './size-limit.ts'

const log = createLog({ level: 'error', format: 'json' }, { write: () => undefined })

test('a limit concerns one key, and ends after a minute', () => {
  const limits = new SizeLimits(32, log, { model: 'm', operation: 'predict' })
  limits.failed('a', 32, 16, 0, 'too large')
  limits.failed('a', 16, 0, 10, 'too large')
  expect([limits.rowsMax('a', 59_000), limits.rowsMax('b', 59_000)]).toEqual([1, 32])
  expect(limits.rowsMax('a', 61_000)).toBe(32)
})

test('however many keys the clients send, only the newest limits are kept', () => {
  const limits = new SizeLimits(32, log, { model: 'm', operation: 'predict' })
  for (let key = 0; key < 1_000; key += 1) limits.failed(String(key), 2, 1, 0, 'not divisible')
  const limited = Array.from({ length: 1_000 }, (_, key) => limits.rowsMax(String(key), 0) === 1)
  expect(limited.filter(Boolean)).toHaveLength(64)
  expect(limited.slice(-64).every(Boolean)).toBe(true)
})

// Tests the option `models.*.batching`.
import { expect, test } from 'vitest'
import { loadConfig } from './load.ts'

function load(model: object): unknown {
  const models = { iris: { url: 'http://127.0.0.1:1', ...model } }
  return loadConfig({ env: {}, flags: { models } as never }).models['iris']!.batching
}

test.each([
  [{}, 'off'],
  [{ batching: 'auto' }, 'auto'],
  [{ batching: {} }, { sizeMax: 32, delayMaxMs: 0 }],
  [{ batching: { sizeMax: 8, delayMaxMs: 5 } }, { sizeMax: 8, delayMaxMs: 5 }],
])('reads %j', (model, expected) => {
  expect(load(model)).toEqual(expected)
})

test.each([
  [{ batching: 'on' }, 'expected off, auto, or a map with sizeMax and delayMaxMs'],
  [{ batching: { sizeMax: 1 } }, 'a whole number from 2 to 1024'],
  [{ batching: { delayMaxMs: -1 } }, 'a whole number from 0 to 1000'],
  [{ batching: { size: 4 } }, 'sizeMax'],
  [{ batching: 'auto', repeatable: false }, 'needs repeatable: true'],
])('rejects %j', (model, message) => {
  expect(() => load(model)).toThrow(message)
})

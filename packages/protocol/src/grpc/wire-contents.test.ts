import { readFileSync } from 'node:fs'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { CONTENTS_LISTS } from './wire-contents.ts'
import { fromWireInteger, fromWireSize, toWireInteger } from './wire-integer.ts'

test('every 64-bit integer survives the division into halves', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (value) => {
      const wire = toWireInteger(value)
      expect(fromWireInteger(wire)).toBe(value)
      expect(fromWireInteger({ ...wire, unsigned: true })).toBe(BigInt.asUintN(64, value))
      if (Number.isSafeInteger(Number(value))) expect(fromWireSize(wire)).toBe(Number(value))
    }),
  )
})

test('the lists have the names and numbers of inference.proto', () => {
  const proto = readFileSync(new URL('../../proto/inference.proto', import.meta.url), 'utf8')
  const [, body = ''] = /message InferTensorContents \{([^}]*)\}/.exec(proto) ?? []
  const fields = new Map(
    Array.from(body.matchAll(/(\w+) = (\d+);/g), ([, name, number]) => [name, Number(number)]),
  )
  const used = new Map(Object.values(CONTENTS_LISTS).map(({ field, number }) => [field as string, number]))
  expect(fields.size).toBe(8)
  expect(used).toEqual(fields)
})

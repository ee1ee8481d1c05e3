import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { readBinary, writeBinary } from './binary-tensor.ts'
import { BodyError } from './body-error.ts'
import { TYPED_ARRAYS, type Datatype } from './tensor.ts'

const DATATYPES = [...Object.keys(TYPED_ARRAYS), 'BYTES'] as Datatype[]

test('reads any bytes as a tensor that is written back as the same bytes, or throws a BodyError', () => {
  const size = fc.nat({ max: 4 })
  fc.assert(
    fc.property(
      fc.constantFrom(...DATATYPES),
      size,
      fc.uint8Array({ maxLength: 32 }),
      (datatype, count, bytes) => {
        try {
          const data = readBinary('X', datatype, [count], bytes)
          expect(data).toHaveLength(count)
          if (datatype === 'BOOL') return
          expect(writeBinary({ name: 'X', datatype, shape: [count], data })).toEqual(bytes)
        } catch (error) {
          expect(error).toBeInstanceOf(BodyError)
          expect((error as BodyError).code).toBe('invalid_value')
        }
      },
    ),
    { numRuns: 1000 },
  )
})

test('reads little-endian numbers at an unaligned offset of a body', () => {
  const body = Uint8Array.of(0, 1, 2, 0, 0, 0, 255, 255, 255, 255)
  expect(readBinary('X', 'INT32', [2], body.subarray(2))).toEqual(Int32Array.of(2, -1))
})

test('writes only the part of a buffer that the tensor covers, and writes text with a length prefix', () => {
  const data = Uint16Array.of(1, 2, 3).subarray(1)
  expect(writeBinary({ name: 'X', datatype: 'UINT16', shape: [2], data })).toEqual(Uint8Array.of(2, 0, 3, 0))
  expect(writeBinary({ name: 'X', datatype: 'BYTES', shape: [2], data: ['ü', ''] })).toEqual(
    Uint8Array.of(2, 0, 0, 0, 0xc3, 0xbc, 0, 0, 0, 0),
  )
})

test('keeps a byte order mark, which belongs to the text of an element', () => {
  expect(readBinary('X', 'BYTES', [1], Uint8Array.of(4, 0, 0, 0, 0xef, 0xbb, 0xbf, 0x61))).toEqual([
    '\ufeffa',
  ])
})

test('reads any byte except 0 as true', () => {
  expect(readBinary('X', 'BOOL', [3], Uint8Array.of(0, 7, 1))).toEqual(Uint8Array.of(0, 1, 1))
})

import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { BodyError } from './body-error.ts'
import { DATATYPES, type TensorDatatype } from './datatype.ts'
import { parseJson, type Json } from './json.ts'
import { rawOf, rawToJson, readRaw } from './raw-tensor.ts'
import { toTensorData } from './tensor.ts'

test('either reads bytes as a tensor that is written back as the same bytes, or throws a BodyError', () => {
  const size = fc.nat({ max: 4 })
  fc.assert(
    fc.property(
      fc.constantFrom(...DATATYPES),
      size,
      fc.uint8Array({ maxLength: 32 }),
      (datatype, count, bytes) => {
        try {
          const data = readRaw('X', datatype, [count], bytes)
          expect(data).toHaveLength(count)
          if (datatype === 'BOOL') return
          expect(rawOf(data)).toEqual(bytes)
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
  expect(readRaw('X', 'INT32', [2], body.subarray(2))).toEqual(Int32Array.of(2, -1))
})

test('writes only the part of a buffer that the tensor covers, and writes text with a length prefix', () => {
  const data = Uint16Array.of(1, 2, 3).subarray(1)
  expect(rawOf(data)).toEqual(Uint8Array.of(2, 0, 3, 0))
  expect(rawOf(['ü', ''])).toEqual(Uint8Array.of(2, 0, 0, 0, 0xc3, 0xbc, 0, 0, 0, 0))
})

test('keeps a byte order mark, which belongs to the text of an element', () => {
  expect(readRaw('X', 'BYTES', [1], Uint8Array.of(4, 0, 0, 0, 0xef, 0xbb, 0xbf, 0x61))).toEqual(['\ufeffa'])
})

test('reads any byte except 0 as true', () => {
  expect(readRaw('X', 'BOOL', [3], Uint8Array.of(0, 7, 1))).toEqual(Uint8Array.of(0, 1, 1))
})

// Values that the datatype represents exactly.
const INTEGER = /^(U?)INT(\d+)$/
function exactValues(datatype: TensorDatatype): fc.Arbitrary<Json> {
  const [, unsigned, bits] = INTEGER.exec(datatype) ?? []
  if (bits !== undefined) {
    const size = 2n ** BigInt(bits)
    const min = unsigned === '' ? -size / 2n : 0n
    const any = fc.bigInt({ min, max: min + size - 1n })
    return fc
      .oneof(any, fc.constantFrom(min, min + size - 1n))
      .map((value) => (Number.isSafeInteger(Number(value)) ? Number(value) : value))
  }
  if (datatype === 'BOOL') return fc.boolean()
  if (datatype === 'BYTES') return fc.string({ unit: 'grapheme' })
  if (datatype === 'FP64') return fc.double({ noNaN: true, noDefaultInfinity: true }).map(withoutMinusZero)
  if (datatype === 'FP32') return fc.float({ noNaN: true, noDefaultInfinity: true }).map(withoutMinusZero)
  // FP16 and BF16 represent these integers exactly.
  return fc.integer({ min: -256, max: 256 })
}

// JSON.stringify writes -0 as 0.
function withoutMinusZero(value: number): number {
  return value + 0
}

test.each(DATATYPES)('keeps every value of %s on the way from JSON to bytes and back', (datatype) => {
  fc.assert(
    fc.property(fc.array(exactValues(datatype), { maxLength: 5 }), fc.nat(8), (values, offset) => {
      const data = toTensorData('X', datatype, values)
      const raw = rawOf(data)
      const body = new Uint8Array(offset + raw.length)
      body.set(raw, offset)
      const bytes = body.subarray(offset)
      const shape = [values.length]
      expect(readRaw('X', datatype, shape, bytes)).toEqual(data)
      const written = parseJson(Buffer.from(rawToJson('X', datatype, shape, bytes, Infinity))) as Json[]
      expect(toTensorData('X', datatype, written)).toEqual(data)
    }),
  )
})

test.each(DATATYPES.filter((datatype) => INTEGER.test(datatype)))(
  'accepts an integer as %s exactly if it is in the range of the datatype',
  (datatype) => {
    const [, unsigned, bits] = INTEGER.exec(datatype)!
    const size = 2n ** BigInt(bits!)
    const min = unsigned === '' ? -size / 2n : 0n
    const near = fc.bigInt({ min: -2n, max: 2n })
    const any = fc.oneof(
      fc.bigInt({ min: -(2n ** 66n), max: 2n ** 66n }),
      near.map((step) => min + step),
      near.map((step) => min + size + step),
    )
    fc.assert(
      fc.property(any, (integer) => {
        // The JSON reader returns safe integers as numbers, and others as bigints.
        const value = Number.isSafeInteger(Number(integer)) ? Number(integer) : integer
        const read = (): unknown => toTensorData('X', datatype, [value])
        if (integer < min || integer >= min + size) expect(read).toThrow(`is not a value of ${datatype}`)
        else expect(BigInt((read() as ArrayLike<number | bigint>)[0]!)).toBe(integer)
      }),
    )
  },
)

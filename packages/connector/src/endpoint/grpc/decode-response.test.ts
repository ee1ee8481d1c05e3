// Tests the decoder of responses against the encoder of protobufjs, and with messages that no model sends.
import {
  CONTENTS_LISTS,
  hasContents,
  rawOf,
  toContents,
  TYPED_ARRAYS,
  viewOf,
  type WireContents,
  type WireParameters,
} from '@inferwire/protocol'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  decodeMetadata,
  decodeResponse,
  decodeStreamResponse,
  hasFieldAbove,
  type DecodedResponse,
} from './decode-response.ts'
import { fromWireResponse } from './from-wire.ts'
import { MESSAGES } from './inference-proto.ts'

const halvesOf = (value: bigint): { low: number; high: number } => ({
  low: Number(BigInt.asIntN(32, value)),
  high: Number(BigInt.asIntN(32, value >> 32n)),
})
const encoded = (
  datatype: string,
  contents: WireContents,
  shape: readonly number[] = [1],
  parameters: WireParameters = {},
): Buffer =>
  MESSAGES.response.encode({
    model_name: 'm',
    model_version: '',
    id: '',
    parameters,
    outputs: [{ name: 'y', datatype, shape, parameters, contents }],
    raw_output_contents: [],
  })
const rawOfOutput = (response: DecodedResponse): Uint8Array =>
  new Uint8Array(fromWireResponse(response).outputs[0]!.raw)
const bytesOf = ({ buffer }: { readonly buffer: ArrayBufferLike }): Uint8Array => new Uint8Array(buffer)
// A length-delimited field whose number is below 16 and whose length is below 128.
const field = (number: number, bytes: readonly number[]): number[] => [number * 8 + 2, bytes.length, ...bytes]

test('reads 64-bit and 32-bit integers as the encoder wrote them', () => {
  fc.assert(
    fc.property(
      fc.array(fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n)),
      fc.array(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })),
      (big, small) => {
        const wide = encoded('INT64', { int64_contents: big.map(halvesOf) })
        expect(rawOfOutput(decodeResponse(wide))).toEqual(bytesOf(BigInt64Array.from(big)))
        const narrow = encoded('INT32', { int_contents: small })
        expect(rawOfOutput(decodeResponse(narrow))).toEqual(bytesOf(Int32Array.from(small)))
        const unsigned = small.map((value) => value >>> 0)
        const positive = encoded('UINT32', { uint_contents: unsigned })
        expect(rawOfOutput(decodeResponse(positive))).toEqual(bytesOf(Uint32Array.from(unsigned)))
      },
    ),
  )
})

test('reads floating-point numbers, BOOL and BYTES as the encoder wrote them', () => {
  fc.assert(
    fc.property(
      fc.array(fc.double()),
      fc.array(fc.boolean()),
      fc.array(fc.uint8Array()),
      (numbers, flags, texts) => {
        const doubles = encoded('FP64', { fp64_contents: numbers })
        expect(rawOfOutput(decodeResponse(doubles))).toEqual(bytesOf(Float64Array.from(numbers)))
        const booleans = encoded('BOOL', { bool_contents: flags })
        expect(rawOfOutput(decodeResponse(booleans))).toEqual(Uint8Array.from(flags, Number))
        const elements = encoded('BYTES', { bytes_contents: texts })
        const joined = texts.flatMap((text) => [...bytesOf(Uint32Array.of(text.length)), ...text])
        expect(rawOfOutput(decodeResponse(elements))).toEqual(Uint8Array.from(joined))
      },
    ),
  )
})

test.each(
  Object.keys(CONTENTS_LISTS)
    .filter(hasContents)
    .filter((datatype) => datatype !== 'BYTES'),
)('reads the typed contents of %s values as the bytes of the values', (datatype) => {
  const Values = TYPED_ARRAYS[datatype as keyof typeof TYPED_ARRAYS] as typeof Float64Array
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      const whole = bytes.slice(0, bytes.length - (bytes.length % Values.BYTES_PER_ELEMENT))
      // BOOL is 0 or 1. A conversion may change the bits of NaN.
      const values = viewOf(whole, Values).map((value) => {
        return datatype === 'BOOL' ? value & 1 : Number.isNaN(value) ? 0 : value
      })
      const response = decodeResponse(encoded(datatype, toContents(datatype, values)))
      expect(rawOfOutput(response)).toEqual(rawOf(values))
    }),
  )
})

test('reads values that are not packed, one field each', () => {
  const values = [3 * 8, 1, 3 * 8, 0x80, 1, ...field(3, [7])]
  const output = [...field(2, [...Buffer.from('INT64')]), 3 * 8, 2, 3 * 8, 3, ...field(5, values)]
  const response = decodeResponse(Buffer.from(field(5, output)))
  expect(response.outputs[0]!.shape).toEqual([2, 3])
  expect(rawOfOutput(response)).toEqual(bytesOf(BigInt64Array.of(1n, 128n, 7n)))
})

test('reads names, sizes and parameters, including a parameter named __proto__', () => {
  const parameters = { ['__proto__']: { bool_param: true }, t: { string_param: 'x' } }
  const response = decodeResponse(encoded('FP32', {}, [2, 0, 2 ** 40], parameters))
  expect(response).toMatchObject({ model_name: 'm', outputs: [{ name: 'y', shape: [2, 0, 2 ** 40] }] })
  const read = fromWireResponse({ ...response, outputs: [] })
  expect([...read.parameters]).toEqual([
    ['__proto__', true],
    ['t', 'x'],
  ])
})

const repeated = (count: number, bytes: readonly number[]): Buffer =>
  Buffer.alloc(count * bytes.length, Buffer.from(bytes))

test.each([
  ['outputs', repeated(20_000, field(5, []))],
  ['raw contents', repeated(20_000, field(6, []))],
  ['parameters', repeated(20_000, field(4, []))],
  ['sizes', encoded('FP32', {}, Array<number>(20_000).fill(1))],
])('refuses more %s than any model has', (_, message) => {
  expect(() => decodeResponse(message)).toThrow('more than 10000 tensors, sizes and parameters')
  const wrapped = Buffer.concat([Buffer.from([0x12, ...lengthOf(message)]), message])
  expect(() => decodeStreamResponse(wrapped)).toThrow('more than 10000')
})

const lengthOf = ({ length }: Buffer): number[] => [
  (length & 0x7f) | 0x80,
  ((length >> 7) & 0x7f) | 0x80,
  length >> 14,
]

test('refuses metadata with more versions or tensors than any model has', () => {
  for (const number of [2, 4, 5]) {
    expect(() => decodeMetadata(repeated(20_000, field(number, [])))).toThrow('more than 10000')
  }
})

test.each([
  ['a truncated field', [0x2a, 9, 1]],
  ['a truncated varint', field(5, [...field(2, [...Buffer.from('INT64')]), ...field(5, field(3, [0x80]))])],
  [
    'a varint of 11 bytes',
    field(5, [
      ...field(2, [...Buffer.from('INT64')]),
      ...field(5, field(3, [...Array<number>(10).fill(0xff), 1])),
    ]),
  ],
])('refuses %s', (_, message) => {
  expect(() => rawOfOutput(decodeResponse(Buffer.from(message)))).toThrow()
})

test('either decodes random bytes or throws an Error', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      for (const decode of [decodeResponse, decodeMetadata, decodeStreamResponse]) {
        try {
          decode(Buffer.from(bytes))
        } catch (error) {
          expect(error).toBeInstanceOf(Error)
        }
      }
    }),
  )
})

test('finds a field whose number is above the given number', () => {
  expect(hasFieldAbove(2, Buffer.from([...field(1, [1]), ...field(2, [])]))).toBe(false)
  expect(hasFieldAbove(2, Buffer.from([...field(1, [1]), ...field(3, [])]))).toBe(true)
})

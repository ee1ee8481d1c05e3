// The requests are read back by the model server's reader, which shares no code with the writer.
import { expect, test } from 'vitest'
import type { Datatype } from './datatype.ts'
import type { InputTensor } from './typed-tensor.ts'
import { writeBinaryCall, writeJsonCall } from './v2-body.ts'
import { readV2Request } from './v2-request.ts'

const read = (datatype: Datatype, { body, jsonLength }: ReturnType<typeof writeJsonCall>) =>
  readV2Request({ name: 'm', inputs: [{ name: 'x', datatype }], outputs: [{ name: 'y' }] }, body, jsonLength)
const jsonOf = ({ body, jsonLength }: ReturnType<typeof writeJsonCall>): unknown =>
  JSON.parse(new TextDecoder().decode(body.subarray(0, jsonLength)))

const TENSORS: [Datatype, InputTensor['data']][] = [
  ['UINT8', Uint8Array.of(0, 255)],
  ['UINT16', Uint16Array.of(0, 65_535)],
  ['UINT32', Uint32Array.of(0, 4_294_967_295)],
  ['UINT64', BigUint64Array.of(0n, 18_446_744_073_709_551_615n)],
  ['INT8', Int8Array.of(-128, 127)],
  ['INT16', Int16Array.of(-32_768, 32_767)],
  ['INT32', Int32Array.of(-2_147_483_648, 2_147_483_647)],
  ['INT64', BigInt64Array.of(-9_223_372_036_854_775_808n, 9_007_199_254_740_993n)],
  ['FP32', Float32Array.of(0.1, -1e-45)],
  ['FP64', Float64Array.of(0.1, 5e-324)],
  ['BYTES', ['', 'grün 🌱']],
]

test.each(TENSORS)(
  'infers %s from its data, and writes every value exactly, in binary and as JSON',
  (datatype, data) => {
    const call = { inputs: [{ name: 'x', shape: [2, 1], data }] }
    for (const written of [writeBinaryCall(call), writeJsonCall(call)]) {
      expect(read(datatype, written).inputs).toEqual([{ name: 'x', datatype, shape: [2, 1], data }])
    }
  },
)

test('writes BOOL from booleans, or from a Uint8Array with the explicit datatype', () => {
  for (const data of [[true, false], Uint8Array.of(1, 0)]) {
    const call = { inputs: [{ name: 'x', shape: [2], data, datatype: 'BOOL' as const }] }
    for (const written of [writeBinaryCall(call), writeJsonCall(call)]) {
      expect(read('BOOL', written).inputs[0]!.data).toEqual(Uint8Array.of(1, 0))
    }
  }
})

const numbers = (data: readonly number[] | readonly bigint[], datatype: Datatype) => ({
  inputs: [{ name: 'x', shape: [1], data, datatype }],
})

test('writes plain numbers and bigints with an explicit datatype, and rejects values that do not fit', () => {
  expect(read('INT64', writeBinaryCall(numbers([7n], 'INT64'))).inputs[0]!.data).toEqual(BigInt64Array.of(7n))
  expect(read('FP32', writeBinaryCall(numbers([0.5], 'FP32'))).inputs[0]!.data).toEqual(Float32Array.of(0.5))
  expect(() => writeBinaryCall(numbers([300], 'UINT8'))).toThrow(/"x": 300 is not a value of UINT8/)
})

test('writes FP16 and BF16 from numbers or bit patterns, but only in binary', () => {
  const bits = Uint16Array.of(0x3c00, 0xc000)
  for (const [datatype, data] of [
    ['FP16', bits],
    ['FP16', [1, -2]],
    ['BF16', Uint16Array.of(0x3f80, 0xc000)],
    ['BF16', [1, -2]],
  ] as const) {
    const call = { inputs: [{ name: 'x', shape: [2], data, datatype }] }
    const { body, jsonLength } = writeBinaryCall(call)
    const expected = datatype === 'FP16' ? [0x00, 0x3c, 0x00, 0xc0] : [0x80, 0x3f, 0x00, 0xc0]
    expect([...body.subarray(jsonLength)]).toEqual(expected)
    expect(() => writeJsonCall(call)).toThrow(/is (?:FP16|BF16), which V2 supports only in binary/)
  }
})

test('writes bytes that are not UTF-8 in binary, and rejects them in JSON', () => {
  const call = { inputs: [{ name: 'x', shape: [2], data: [Uint8Array.of(0xff), 'a'] as Uint8Array[] }] }
  const { body, jsonLength } = writeBinaryCall(call)
  expect([...body.subarray(jsonLength)]).toEqual([1, 0, 0, 0, 0xff, 1, 0, 0, 0, 0x61])
  expect(() => writeJsonCall(call)).toThrow(/Value 0 of tensor "x" is not UTF-8/)
})

test('a JSON request never contains NaN', () => {
  const call = { inputs: [{ name: 'x', shape: [2], data: Float32Array.of(1, NaN) }] }
  expect(() => writeJsonCall(call)).toThrow('body.inputs[0].data[1] is NaN, which JSON cannot represent.')
  expect(Number.isNaN(read('FP32', writeBinaryCall(call)).inputs[0]!.data[1])).toBe(true)
})

test('requests binary outputs both for the whole request and for each output', () => {
  const inputs = [{ name: 'x', shape: [0], data: [], datatype: 'FP32' as const }]
  expect(jsonOf(writeBinaryCall({ inputs, outputs: ['y'], parameters: { k: 1 } }))).toEqual({
    parameters: { k: 1, binary_data_output: true },
    inputs: [{ name: 'x', shape: [0], datatype: 'FP32', parameters: { binary_data_size: 0 } }],
    outputs: [{ name: 'y', parameters: { binary_data: true } }],
  })
  expect(jsonOf(writeJsonCall({ inputs, outputs: ['y'] }))).toEqual({
    inputs: [{ name: 'x', shape: [0], datatype: 'FP32', data: [] }],
    outputs: [{ name: 'y' }],
  })
})

test.each([
  [{ shape: [3], data: Float32Array.of(1, 2) }, /has 2 values, but its shape \(3,\) has 3/],
  [{ shape: [2 ** 32, 2 ** 32], data: [1], datatype: 'FP32' }, /its shape \(4294967296,4294967296\)/],
  [{ shape: [-1], data: Float32Array.of(1) }, /shape of tensor "x" is not a list of sizes/],
  [{ shape: 1, data: Float32Array.of(1) }, /shape of tensor "x" is not a list of sizes/],
  [{ shape: [1], data: [1] }, /datatype of tensor "x" cannot be inferred/],
  [{ shape: [0], data: [] }, /datatype of tensor "x" cannot be inferred/],
  [
    { shape: [1], data: Float32Array.of(1), datatype: 'FP16' },
    /of type Float32Array, which does not fit .* FP16/,
  ],
  [{ shape: [1], data: new DataView(new ArrayBuffer(4)), datatype: 'FP32' }, /of type DataView/],
  [{ shape: [1], data: {}, datatype: 'FP32' }, /is an object/],
  [{ shape: [1], data: [1], datatype: 'FP8' }, /has the datatype "FP8"; expected BOOL, /],
  [
    { shape: [1], data: [1], datatype: 'BYTES' },
    /Value 0 of tensor "x" is number; BYTES needs text or bytes/,
  ],
  [{ shape: [1], data: [70_000], datatype: 'FP16' }, /input "x": 70000 is not a value of FP16/],
  [{ shape: [1], data: ['1'], datatype: 'FP16' }, /Value 0 of tensor "x" is string; FP16 needs numbers/],
])('rejects the tensor %j', (tensor, message) => {
  const call = { inputs: [{ name: 'x', ...tensor } as InputTensor] }
  expect(() => writeBinaryCall(call)).toThrow(message)
  expect(() => writeBinaryCall(call)).toThrow(TypeError)
})

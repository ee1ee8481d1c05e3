import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BodyError } from './body-error.ts'
import { readV2Answer, toFloat32, type OutputTensor } from './v2-answer.ts'

const encoder = new TextEncoder()
const json = (text: string) => readV2Answer(encoder.encode(text))

// Builds a binary body that begins at an offset in its buffer, like the body of a received packet.
function binary(outputs: readonly object[], tensors: readonly number[], offset = 0) {
  const head = encoder.encode(JSON.stringify({ model_name: 'm', outputs }))
  const buffer = new Uint8Array(offset + head.length + tensors.length)
  buffer.set(head, offset)
  buffer.set(tensors, offset + head.length)
  return { body: buffer.subarray(offset), jsonLength: head.length, buffer: buffer.buffer }
}

function readBinary(datatype: string, shape: number[], bytes: number[]): OutputTensor {
  const output = { name: 'y', datatype, shape, parameters: { binary_data_size: bytes.length } }
  const { body, jsonLength } = binary([output], bytes)
  return readV2Answer(body, jsonLength).outputs[0]!
}

test('reads every datatype from JSON exactly, nested or flat', () => {
  const outputs = [
    ['BOOL', '[true,false]', Uint8Array.of(1, 0)],
    ['BOOL', '[1,0]', Uint8Array.of(1, 0)],
    ['UINT8', '[[0],[255]]', Uint8Array.of(0, 255)],
    ['INT64', '[9007199254740993,-9223372036854775808]', BigInt64Array.of(9007199254740993n, -(2n ** 63n))],
    ['UINT64', '[18446744073709551615,0]', BigUint64Array.of(2n ** 64n - 1n, 0n)],
    ['FP32', '[0.10000000149011612,null]', Float32Array.of(0.1, NaN)],
    ['FP64', '[NaN,-Infinity]', Float64Array.of(NaN, -Infinity)],
    ['BYTES', '["","ü"]', ['', 'ü']],
    ['BF16', '[1,-2]', Uint16Array.of(0x3f80, 0xc000)],
  ] as const
  for (const [datatype, data, values] of outputs) {
    const text = `{"id":"7","model_name":"m","model_version":null,"outputs":[{"name":"y","datatype":"${datatype}","shape":[2,1],"data":${data}}]}`
    const answer = json(text)
    expect(answer).toMatchObject({ id: '7', modelName: 'm', modelVersion: undefined })
    expect(answer.outputs).toEqual([{ name: 'y', datatype, shape: [2, 1], data: values }])
  }
})

test('reads binary tensors, and BYTES that are not UTF-8 as bytes', () => {
  expect(readBinary('INT64', [1], [1, 0, 0, 0, 0, 0, 0, 0x80]).data).toEqual(BigInt64Array.of(1n - 2n ** 63n))
  expect(readBinary('FP32', [1, 1], [0, 0, 0x80, 0x3f]).data).toEqual(Float32Array.of(1))
  expect(readBinary('BOOL', [2], [1, 0]).data).toEqual(Uint8Array.of(1, 0))
  expect(readBinary('BF16', [1], [0x80, 0x3f]).data).toEqual(Uint16Array.of(0x3f80))
  expect(readBinary('BYTES', [2], [1, 0, 0, 0, 0x61, 0, 0, 0, 0]).data).toEqual(['a', ''])
  expect(readBinary('BYTES', [2], [1, 0, 0, 0, 0xff, 1, 0, 0, 0, 0x61]).data).toEqual([
    Uint8Array.of(0xff),
    Uint8Array.of(0x61),
  ])
})

test('keeps a byte order mark, which belongs to the text of an element', () => {
  expect(readBinary('BYTES', [1], [4, 0, 0, 0, 0xef, 0xbb, 0xbf, 0x61]).data).toEqual(['\ufeffa'])
})

test('reads binary and JSON tensors of one answer', () => {
  const { body, jsonLength } = binary(
    [
      { name: 'a', datatype: 'UINT8', shape: [2], parameters: { binary_data_size: 2 } },
      { name: 'b', datatype: 'FP32', shape: [1], data: [0.5], parameters: null },
      { name: 'c', datatype: 'UINT8', shape: [1], parameters: { binary_data_size: 1 } },
    ],
    [1, 2, 3],
  )
  const { outputs } = readV2Answer(body, jsonLength)
  expect(outputs.map(({ data }) => [...data])).toEqual([[1, 2], [0.5], [3]])
})

test('an aligned tensor is a view of the body; any other is a copy with the same values', () => {
  const views = Array.from({ length: 4 }, (_, offset) => {
    const output = { name: 'y', datatype: 'FP32', shape: [1], parameters: { binary_data_size: 4 } }
    const { body, jsonLength, buffer } = binary([output], [0, 0, 0x80, 0x3f], offset)
    const { data } = readV2Answer(body, jsonLength).outputs[0]!
    expect(data).toEqual(Float32Array.of(1))
    return (data as Float32Array).buffer === buffer
  })
  expect(views.filter(Boolean)).toHaveLength(1)
})

const floatsOf = (tensor: OutputTensor) => [...toFloat32(tensor)]
const tensorOf = (datatype: string, data: unknown) =>
  ({ name: 'y', datatype, shape: [1], data }) as OutputTensor

test('toFloat32 returns the values of all number types', () => {
  expect(floatsOf(tensorOf('FP16', Uint16Array.of(0x3c00)))).toEqual([1])
  expect(floatsOf(tensorOf('BF16', Uint16Array.of(0xc000)))).toEqual([-2])
  expect(floatsOf(tensorOf('INT64', BigInt64Array.of(-5n)))).toEqual([-5])
  expect(floatsOf(tensorOf('UINT16', Uint16Array.of(0x3c00)))).toEqual([0x3c00])
  const floats = Float32Array.of(1)
  expect(toFloat32(tensorOf('FP32', floats))).toBe(floats)
  expect(() => toFloat32(tensorOf('BYTES', ['1']))).toThrow(/"y" is BYTES/)
  // The data is a Float16Array if the runtime supports Float16Array.
  const half = readBinary('FP16', [1], [0x00, 0x3c])
  expect(half.data).toBeInstanceOf('Float16Array' in globalThis ? Object : Uint16Array)
  expect(floatsOf(half)).toEqual([1])
})

describe('rejects', () => {
  test.each([
    ['[]', /not a JSON object/],
    ['{', /Expecting property name/],
    ['{}', /no "outputs" list/],
    ['{"outputs":[1]}', /an output has no name/],
    ['{"outputs":[{"name":"y","datatype":"FP8","shape":[1],"data":[1]}]}', /"y" has an unknown datatype/],
    ['{"outputs":[{"name":"y","datatype":"toString","shape":[1],"data":[1]}]}', /unknown datatype/],
    ['{"outputs":[{"name":"y","datatype":"FP32","shape":[-1],"data":[1]}]}', /"y" has no valid shape/],
    ['{"outputs":[{"name":"y","datatype":"FP32","shape":[1]}]}', /"y" has no data/],
    [
      '{"outputs":[{"name":"y","datatype":"FP32","shape":[2],"data":[1]}]}',
      /has 1 values, but its shape is \(2,\)/,
    ],
    [
      '{"outputs":[{"name":"y","datatype":"INT8","shape":[1],"data":[300]}]}',
      /output "y": 300 is not a value of INT8/,
    ],
    ['{"outputs":[{"name":"y","datatype":"INT8","shape":[1],"data":[null]}]}', /null is not a value of INT8/],
    ['{"outputs":[{"name":"y","datatype":"INT8","shape":[2],"data":[[1],2]}]}', /inhomogeneous/],
    [
      '{"outputs":[{"name":"y","datatype":"UINT8","shape":[1],"parameters":{"binary_data_size":1}}]}',
      /only 0 remain/,
    ],
    [
      '{"outputs":[{"name":"y","datatype":"UINT8","shape":[1],"parameters":{"binary_data_size":-1}}]}',
      /binary_data_size/,
    ],
  ])('the answer %s', (text, message) => {
    expect(() => json(text)).toThrow(message)
    expect(() => json(text)).toThrow(BodyError)
  })

  test.each([
    ['FP32', [1], [0, 0, 0], /3 bytes are not a whole number of FP32 values/],
    ['FP32', [2], [0, 0, 0, 0], /has 1 values, but its shape is \(2,\)/],
    ['FP32', [2 ** 40, 2 ** 40], [0, 0, 0, 0], /has 1 values/],
    ['BYTES', [1], [5, 0, 0, 0, 1], /an element is truncated/],
    ['BYTES', [1], [255, 255, 255, 255], /an element is truncated/],
    ['BYTES', [1], [1, 0], /an element is truncated/],
  ])('the binary tensor %s of shape %j with the bytes %j', (datatype, shape, bytes, message) => {
    expect(() => readBinary(datatype, shape, bytes)).toThrow(message)
  })

  test('bytes after the last tensor, and a JSON length beyond the body', () => {
    const { body, jsonLength } = binary([], [1])
    expect(() => readV2Answer(body, jsonLength)).toThrow(/1 bytes follow/)
    expect(() => readV2Answer(body, body.length + 1)).toThrow(/but the body has/)
  })
})

test('reads any body as an answer, or throws a BodyError', () => {
  const whole = binary(
    [
      { name: 'a', datatype: 'FP32', shape: [1], parameters: { binary_data_size: 4 } },
      { name: 'b', datatype: 'BYTES', shape: [1], parameters: { binary_data_size: 5 } },
      { name: 'c', datatype: 'INT64', shape: [2], data: [1, 2] },
    ],
    [0, 0, 0x80, 0x3f, 1, 0, 0, 0, 0x61],
  )
  const change = fc.record({ at: fc.nat(whole.body.length - 1), byte: fc.nat(255), length: fc.nat(400) })
  fc.assert(
    fc.property(fc.array(change, { maxLength: 4 }), fc.boolean(), (changes, isCut) => {
      const body = Uint8Array.from(whole.body)
      for (const { at, byte } of changes) body[at] = byte
      const cut = isCut ? body.subarray(0, changes[0]?.length) : body
      try {
        for (const { data, shape } of readV2Answer(cut, whole.jsonLength).outputs) {
          expect(data).toHaveLength(shape.reduce((product, size) => product * size, 1))
        }
      } catch (error) {
        expect(error).toBeInstanceOf(BodyError)
      }
    }),
    { numRuns: 2_000 },
  )
})

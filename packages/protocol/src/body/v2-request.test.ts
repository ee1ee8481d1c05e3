// Tests the results of reading valid requests. The model server's tests cover each validation rule, and compare
// the errors with KServe's.
import { expect, test } from 'vitest'
import { readV2Request, type ModelSignature } from './v2-request.ts'

const model: ModelSignature = {
  name: 'm',
  inputs: [
    { name: 'a', datatype: 'INT64' },
    { name: 'b', datatype: 'FP32' },
  ],
  outputs: [{ name: 'y' }, { name: 'z' }],
}
const a = { name: 'a', shape: [1], datatype: 'INT64', data: [7] }
const b = { name: 'b', shape: [1, 2], datatype: 'fp32', data: [[1.5, -2]] }

function read(request: unknown, tensors: readonly number[] = []) {
  const json = Buffer.from(JSON.stringify(request))
  return readV2Request(model, Buffer.concat([json, Buffer.from(tensors)]), json.length)
}

test("creates one tensor for each input, in the model's order, and requests every output", () => {
  expect(read({ inputs: [b, a] })).toEqual({
    id: undefined,
    inputs: [
      { name: 'a', datatype: 'INT64', shape: [1], data: BigInt64Array.of(7n) },
      { name: 'b', datatype: 'FP32', shape: [1, 2], data: Float32Array.of(1.5, -2) },
    ],
    outputs: [
      { name: 'y', isBinary: false },
      { name: 'z', isBinary: false },
    ],
  })
})

test.each([{}, { outputs: null }, { outputs: [] }])('requests every output for %j', (asked) => {
  expect(read({ inputs: [a, b], ...asked }).outputs).toEqual([
    { name: 'y', isBinary: false },
    { name: 'z', isBinary: false },
  ])
})

test('reads a mix of binary and JSON tensors, and determines which outputs must be binary', () => {
  const binary = { name: 'a', shape: [1], datatype: 'INT64', parameters: { binary_data_size: 8 } }
  const outputs = [{ name: 'z', parameters: { binary_data: true } }]
  const request = read({ id: '7', inputs: [b, binary], outputs }, [255, 0, 0, 0, 0, 0, 0, 128])
  expect(request.id).toBe('7')
  expect(request.inputs[0]?.data).toEqual(BigInt64Array.of(-(2n ** 63n) + 255n))
  expect(request.outputs).toEqual([{ name: 'z', isBinary: true }])
})

test.each([
  ['missing', {}, ['inputs']],
  ['list_type', { inputs: 1 }, ['inputs']],
  ['string_type', { id: 7, inputs: [a, b] }, ['id']],
  ['int_type', { inputs: [{ ...a, shape: ['1'] }, b] }, ['inputs', 0, 'shape', 0]],
  ['scalar_type', { inputs: [a, b], parameters: { p: [] } }, ['parameters', 'p']],
  ['model_attributes_type', { inputs: [[]] }, ['inputs', 0]],
  ['invalid_input', { inputs: [a] }, []],
  ['invalid_input', { inputs: [a, b], outputs: [{ name: 'x' }] }, []],
  ['invalid_input', { inputs: [a, b], outputs: [{ name: 'y' }, { name: 'y' }] }, []],
  ['invalid_value', { inputs: [{ ...a, data: ['7'] }, b] }, []],
])('throws a BodyError with the code "%s"', (code, request, path) => {
  expect(() => read(request)).toThrow(expect.objectContaining({ name: 'BodyError', code, path }) as Error)
})

test('reports the position of invalid JSON, and a missing body', () => {
  expect(() => readV2Request(model, Buffer.from('{"inputs": }'))).toThrow(
    expect.objectContaining({ code: 'json_invalid', path: [11] }) as Error,
  )
  expect(() => readV2Request(model, new Uint8Array())).toThrow(
    expect.objectContaining({ code: 'missing', path: [] }) as Error,
  )
})

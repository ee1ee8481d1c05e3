// The binary tensor data extension, over HTTP.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startModelServer, type ModelServer } from './model-server.ts'
import { bundledModels } from './bundled-models.ts'
import { fixture, post } from './testing/requests.ts'

let server: ModelServer

beforeAll(async () => {
  server = await startModelServer({ models: [...bundledModels(), fixture('types')] })
})
afterAll(() => server.close())

const IRIS = '/v2/models/iris/infer'
const row = bytesOf(Float32Array.of(6.8, 2.8, 4.8, 1.4))

function binary(path: string, json: object, tensors: Uint8Array, headers: Record<string, string> = {}) {
  const head = Buffer.from(JSON.stringify(json))
  return post(server, path, Buffer.concat([head, tensors]), {
    'content-type': 'application/octet-stream',
    'inference-header-content-length': String(head.length),
    ...headers,
  })
}

function irisInput(size: number, shape = [1, 4]) {
  return { name: 'X', shape, datatype: 'FP32', parameters: { binary_data_size: size } }
}

function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
}

test('accepts binary input and returns JSON', async () => {
  const answer = await binary(IRIS, { inputs: [irisInput(16)] }, row)
  expect(answer.status).toBe(200)
  expect(answer.json().outputs[0].data).toEqual([1])
})

test('returns the requested binary outputs along with JSON outputs', async () => {
  const head = Buffer.from(
    JSON.stringify({
      id: 'b',
      inputs: [irisInput(16)],
      outputs: [{ name: 'probabilities', parameters: { binary_data: true } }, { name: 'label' }],
    }),
  )
  const response = await fetch(server.url + IRIS, {
    method: 'POST',
    headers: {
      'content-type': 'application/octet-stream',
      'inference-header-content-length': String(head.length),
    },
    body: Buffer.concat([head, row]),
  })
  expect(response.headers.get('content-type')).toBe('application/octet-stream')
  const bytes = Buffer.from(await response.arrayBuffer())
  const length = Number(response.headers.get('inference-header-content-length'))
  expect(JSON.parse(bytes.subarray(0, length).toString())).toMatchObject({
    id: 'b',
    outputs: [
      { name: 'probabilities', shape: [1, 3], datatype: 'FP32', parameters: { binary_data_size: 12 } },
      { name: 'label', data: [1] },
    ],
  })
  const probabilities = [0, 4, 8].map((at) => bytes.readFloatLE(length + at))
  expect(bytes).toHaveLength(length + 12)
  expect(probabilities.reduce((sum, probability) => sum + probability)).toBeCloseTo(1, 5)
})

test('returns every datatype unchanged as bytes if binary_data_output applies to all outputs', async () => {
  const tensors: [string, Uint8Array][] = [
    ['BOOL', Uint8Array.of(1, 0)],
    ['UINT8', Uint8Array.of(0, 255)],
    ['UINT16', bytesOf(Uint16Array.of(0, 65535))],
    ['UINT32', bytesOf(Uint32Array.of(0, 4294967295))],
    ['UINT64', bytesOf(BigUint64Array.of(0n, 2n ** 64n - 1n))],
    ['INT8', bytesOf(Int8Array.of(-128, 127))],
    ['INT16', bytesOf(Int16Array.of(-32768, 32767))],
    ['INT32', bytesOf(Int32Array.of(-(2 ** 31), 2 ** 31 - 1))],
    ['INT64', bytesOf(BigInt64Array.of(-(2n ** 63n), 2n ** 63n - 1n))],
    ['FP32', bytesOf(Float32Array.of(NaN, -Infinity))],
    ['FP64', bytesOf(Float64Array.of(0.1, NaN))],
    ['BYTES', Buffer.from('\u0002\u0000\u0000\u0000ü\u0000\u0000\u0000\u0000')],
  ]
  const inputs = tensors.map(([name, bytes]) => ({
    name,
    datatype: name,
    shape: [2],
    parameters: { binary_data_size: bytes.length },
  }))
  const all = Buffer.concat(tensors.map(([, bytes]) => bytes))
  const head = Buffer.from(JSON.stringify({ inputs, parameters: { binary_data_output: true } }))
  const response = await fetch(`${server.url}/v2/models/types/infer`, {
    method: 'POST',
    headers: { 'inference-header-content-length': String(head.length) },
    body: Buffer.concat([head, all]),
  })
  expect(response.status).toBe(200)
  const answer = Buffer.from(await response.arrayBuffer())
  const length = Number(response.headers.get('inference-header-content-length'))
  expect(answer.subarray(length)).toEqual(all)
})

test.each([
  ['too few bytes', irisInput(16), row.subarray(0, 12), 500, /declares 16 bytes .* only 12 remain/],
  ['bytes that do not match the shape', irisInput(12), row, 500, /cannot reshape 12 bytes/],
  ['a huge size', irisInput(2 ** 52), row, 500, /declares/],
  [
    'a size that is not a number of bytes',
    irisInput(-1),
    row,
    400,
    /binary_data_size is not a number of bytes/,
  ],
])('rejects %s', async (_what, input, tensors, status, error) => {
  const answer = await binary(IRIS, { inputs: [input] }, tensors)
  expect([answer.status, answer.json()]).toEqual([status, { error: expect.stringMatching(error) as string }])
})

test.each([
  ['an element longer than the tensor', [9, 0, 0, 0, 65]],
  ['a truncated length', [1, 0]],
  ['bytes that are not UTF-8', [1, 0, 0, 0, 0xff]],
  ['too few elements', []],
])('rejects BYTES with %s', async (_what, bytes) => {
  const input = {
    name: 'BYTES',
    datatype: 'BYTES',
    shape: [1],
    parameters: { binary_data_size: bytes.length },
  }
  const answer = await binary('/v2/models/types/infer', { inputs: [input] }, Uint8Array.from(bytes))
  expect([answer.status, answer.json().error]).toEqual([500, expect.stringMatching(/^ValueError : /)])
})

test.each([
  ['that is missing', undefined, /inference-header-content-length is missing/],
  ['that is not a number', 'abc', /is "abc", not the number/],
  ['that is 0', '0', /is "0", not the number/],
  ['above the size of the body', '100000', /is 100000, but the body has/],
])('rejects a length header %s', async (_what, length, error) => {
  const answer = await post(server, IRIS, JSON.stringify({ inputs: [] }), {
    'content-type': 'application/octet-stream',
    ...(length === undefined ? {} : { 'inference-header-content-length': length }),
  })
  expect([answer.status, answer.json()]).toEqual([400, { error: expect.stringMatching(error) as string }])
})

test('rejects a binary request whose Content-Type is JSON', async () => {
  const answer = await binary(IRIS, { inputs: [irisInput(16)] }, row, { 'content-type': 'application/json' })
  expect([answer.status, answer.json().detail]).toEqual([400, expect.stringContaining('parsing the body')])
})

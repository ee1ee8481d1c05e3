// Tests V2's status codes and bodies over HTTP. The expected answers are those of KServe's Python server.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bundledModels } from './bundled-models.ts'
import { startModelServer, type ModelServer } from './model-server.ts'
import { fixture, get, post } from './testing/requests.ts'

let server: ModelServer

beforeAll(async () => {
  const models = [...bundledModels(), fixture('pair'), fixture('types')]
  server = await startModelServer({ models })
})
afterAll(() => server.close())

const IRIS = '/v2/models/iris/infer'
const PAIR = '/v2/models/pair/infer'
const ROW = [6.8, 2.8, 4.8, 1.4]
const input = { name: 'X', shape: [1, 4], datatype: 'FP32', data: ROW }

test.each([
  ['/v2', { name: 'inferwire-model-server', version: '0.1.0', extensions: ['binary_tensor_data'] }],
  ['/v2/health/live', { live: true }],
  ['/v2/health/ready', { ready: true }],
  ['/v2/models', { models: ['iris', 'digits', 'pair', 'types'] }],
  ['/v2/models/iris/ready', { name: 'iris', ready: true }],
  [
    '/v2/models/iris',
    {
      name: 'iris',
      versions: null,
      platform: 'onnx_onnxruntime',
      inputs: [{ name: 'X', datatype: 'FP32', shape: [-1, 4] }],
      outputs: [
        { name: 'label', datatype: 'INT64', shape: [-1] },
        { name: 'probabilities', datatype: 'FP32', shape: [-1, 3] },
      ],
    },
  ],
])('responds to GET %s', async (path, body) => {
  const answer = await get(server, path)
  expect(answer.status).toBe(200)
  expect(answer.json()).toEqual(body)
})

test("returns every output as a flat list, along with the request's id, and null for absent members", async () => {
  const answer = await post(server, IRIS, { id: 'r1', inputs: [input] })
  expect(answer.status).toBe(200)
  expect(answer.json()).toEqual({
    model_name: 'iris',
    model_version: null,
    id: 'r1',
    parameters: null,
    outputs: [
      { name: 'label', shape: [1], datatype: 'INT64', parameters: null, data: [1] },
      {
        name: 'probabilities',
        shape: [1, 3],
        datatype: 'FP32',
        parameters: null,
        data: [expect.any(Number), expect.any(Number), expect.any(Number)],
      },
    ],
  })
})

test('creates a UUID if the request has no id', async () => {
  for (const id of [undefined, null]) {
    expect((await post(server, IRIS, { id, inputs: [input] })).json().id).toMatch(/^[0-9a-f-]{36}$/)
  }
})

test('accepts nested data, any name for a single input, lower-case datatypes and unknown fields', async () => {
  const loose = { name: 'input-0', shape: [2, 4], datatype: 'fp32', data: [ROW, ROW], extra: 1 }
  const answer = await post(server, IRIS, { model_name: 'x', inputs: [loose] })
  expect(answer.json().outputs[0]).toMatchObject({ shape: [2], data: [1, 1] })
})

test('returns the requested outputs, in the order of the request', async () => {
  const outputs = [{ name: 'probabilities' }, { name: 'label', parameters: { classification: 1 } }]
  const answer = await post(server, IRIS, { inputs: [input], outputs })
  expect(answer.json().outputs.map(({ name }: { name: string }) => name)).toEqual(['probabilities', 'label'])
})

test('returns every output for an empty list of outputs, as KServe does', async () => {
  for (const parameters of [undefined, { binary_data_output: false }]) {
    const answer = await post(server, IRIS, { inputs: [input], outputs: [], parameters })
    expect(answer.status).toBe(200)
    expect(answer.json().outputs.map(({ name }: { name: string }) => name)).toEqual([
      'label',
      'probabilities',
    ])
  }
})

test('finds inputs by name, and keeps 64-bit integers exact', async () => {
  const body = `{"inputs":[
    {"name":"b","shape":[3],"datatype":"INT64","data":[1,0,0]},
    {"name":"a","shape":[3],"datatype":"INT64","data":[9007199254740992,0,-5]}]}`
  const answer = await post(server, PAIR, body)
  expect(answer.text).toContain('"data":[9007199254740993,0,-5]')
  expect(answer.text).toContain('"data":[9007199254740992,null,null]')
})

const TYPES: [string, unknown[]][] = [
  ['BOOL', [true, false]],
  ['UINT8', [0, 255]],
  ['UINT16', [0, 65535]],
  ['UINT32', [0, 4294967295]],
  ['UINT64', [0, 7]],
  ['INT8', [-128, 127]],
  ['INT16', [-32768, 32767]],
  ['INT32', [-2147483648, 2147483647]],
  ['INT64', [-7, 7]],
  ['FP32', [0.5, -1.5]],
  ['FP64', [0.1, 1e39]],
  ['BYTES', ['ü', '']],
]

test('returns every datatype unchanged', async () => {
  const inputs = TYPES.map(([name, data]) => ({ name, datatype: name, shape: [2], data }))
  const answer = await post(server, '/v2/models/types/infer', { inputs })
  expect(answer.status).toBe(200)
  const outputs = answer.json().outputs as { name: string; data: unknown[] }[]
  expect(outputs.map(({ name, data }) => [name, data])).toEqual(
    TYPES.map(([name, data]) => [`${name}_out`, data]),
  )
})

const one = (changes: object) => ({ inputs: [{ ...input, ...changes }] })
const without = (key: keyof typeof input) => ({ inputs: [{ ...input, [key]: undefined }] })

test.each([
  ['that is not JSON', '{"inputs": [', 'json_invalid', [12]],
  ['that is nested too deeply', '['.repeat(200), 'json_invalid', [100]],
  ['that is empty', '', 'missing', []],
  ['that is a list', '[]', 'model_attributes_type', []],
  ['without inputs', '{}', 'missing', ['inputs']],
  ['with inputs that are not a list', { inputs: {} }, 'list_type', ['inputs']],
  ['with an input that is not an object', { inputs: [1] }, 'model_attributes_type', ['inputs', 0]],
  ['without a name', without('name'), 'missing', ['inputs', 0, 'name']],
  ['without a shape', without('shape'), 'missing', ['inputs', 0, 'shape']],
  ['without a datatype', without('datatype'), 'missing', ['inputs', 0, 'datatype']],
  ['without data', without('data'), 'missing', ['inputs', 0, 'data']],
  ['with data that is not a list', one({ data: 'AAAA' }), 'list_type', ['inputs', 0, 'data']],
  ['with a fraction in the shape', one({ shape: [1, 4.5] }), 'int_type', ['inputs', 0, 'shape', 1]],
  ['with a numeric id', { id: 7, inputs: [input] }, 'string_type', ['id']],
  [
    'with parameters that are not an object',
    { parameters: 1, inputs: [input] },
    'model_attributes_type',
    ['parameters'],
  ],
  ['with a nested parameter', { parameters: { a: {} }, inputs: [input] }, 'scalar_type', ['parameters', 'a']],
  ['with an output without a name', { inputs: [input], outputs: [{}] }, 'missing', ['outputs', 0, 'name']],
])('responds 422 to a body %s', async (_what, body, type, loc) => {
  const answer = await post(server, IRIS, body)
  expect(answer.status).toBe(422)
  expect(answer.json()).toEqual({
    detail: [{ type, loc: ['body', ...loc], msg: expect.any(String) as string }],
  })
})

const pairInput = { name: 'a', shape: [1], datatype: 'INT64', data: [1] }

test.each([
  ['a wrong datatype', IRIS, one({ datatype: 'INT64' }), 400, /has datatype FP32, not "INT64"/],
  ['an invalid datatype', IRIS, one({ datatype: '__proto__' }), 400, /has datatype FP32/],
  ['FP16 in JSON', IRIS, one({ datatype: 'FP16' }), 400, /has datatype FP32/],
  ['a negative dimension', IRIS, one({ shape: [-1, 4] }), 400, /shape\[0\] is -1/],
  ['a huge dimension', IRIS, one({ shape: [2 ** 40, 4] }), 400, /shape\[0\] is 1099511627776/],
  [
    'an unknown input',
    PAIR,
    { inputs: [{ ...pairInput, name: 'c' }] },
    400,
    /has no input "c"; its inputs are "a", "b"/,
  ],
  ['a missing input', PAIR, { inputs: [pairInput] }, 400, /Input "b" of model "pair" is missing/],
  [
    'the same input twice',
    PAIR,
    { inputs: [pairInput, pairInput] },
    400,
    /Input "b" of model "pair" is missing/,
  ],
  ['too many inputs', IRIS, { inputs: [input, input] }, 400, /2 inputs given/],
  ['an empty list of inputs', IRIS, { inputs: [] }, 400, /Input "X" of model "iris" is missing/],
  ['an unknown output', IRIS, { inputs: [input], outputs: [{ name: 'y' }] }, 400, /has no output "y"/],
  [
    'data that does not match the shape',
    IRIS,
    one({ shape: [2, 4] }),
    500,
    /^ValueError : cannot reshape array of size 4 into shape \(2,4\)/,
  ],
  [
    'a shape whose product overflows',
    IRIS,
    one({ shape: [2 ** 31 - 1, 2 ** 31 - 1, 2 ** 31 - 1] }),
    500,
    /^ValueError : cannot reshape/,
  ],
  [
    'a shape that overflows a double',
    IRIS,
    one({ shape: Array(50_000).fill(2 ** 30) as number[] }),
    500,
    /^ValueError : cannot reshape.*…$/,
  ],
  [
    'too many dimensions',
    IRIS,
    one({ shape: [1, 4, ...(Array(200).fill(1) as number[])] }),
    500,
    /^ValueError : maximum supported dimension/,
  ],
  [
    'a shape that does not match the model',
    IRIS,
    one({ shape: [1, 2], data: [1, 2] }),
    500,
    /^ValueError : X has 2 features/,
  ],
  [
    'a wrong rank',
    IRIS,
    one({ shape: [4] }),
    500,
    /^ValueError : Expected 2D array, got 1D array of shape \(4,\)/,
  ],
  ['an empty tensor', IRIS, one({ shape: [0, 4], data: [] }), 500, /^ValueError : Found array with 0 sample/],
  [
    'an empty tensor of a huge shape',
    IRIS,
    one({ shape: [2 ** 31 - 1, 0], data: [] }),
    500,
    /^ValueError : Found array/,
  ],
  ['a string', IRIS, one({ data: [1, 2, 3, 'x'] }), 500, /^ValueError : input "X": "x" is not/],
  [
    'an object as a value',
    IRIS,
    one({ data: [1, 2, 3, { __proto__: null }] }),
    500,
    /^ValueError : input "X": an object/,
  ],
  ['null for FP32', IRIS, one({ data: [1, 2, 3, null] }), 500, /^ValueError : input "X": null is not/],
  ['1e39 for FP32', IRIS, one({ data: [1, 2, 3, 1e39] }), 500, /^ValueError : input "X": 1e\+39 is not/],
  ['ragged data', IRIS, one({ data: [[1, 2, 3], [4]] }), 500, /^ValueError : .*inhomogeneous/],
  [
    'inputs that only the engine can reject',
    PAIR,
    {
      inputs: [
        { ...pairInput, shape: [2], data: [1, 2] },
        { ...pairInput, name: 'b', shape: [3], data: [1, 2, 3] },
      ],
    },
    500,
    /^RuntimeError : /,
  ],
] as [string, string, object, number, RegExp][])('rejects %s', async (_what, path, body, status, error) => {
  const answer = await post(server, path, body)
  expect([answer.status, answer.json()]).toEqual([status, { error: expect.stringMatching(error) as string }])
  expect(answer.text.length).toBeLessThan(1200)
})

test.each([
  ['GET', '/v2/models/nope', 404, { error: 'Model with name nope does not exist.' }],
  ['GET', '/v2/models/nope/ready', 404, { error: 'Model with name nope does not exist.' }],
  ['POST', '/v2/models/nope/infer', 404, { error: 'Model with name nope does not exist.' }],
  ['GET', '/v2/models/iris/versions/1', 501, { error: 'Model versioning not supported yet.' }],
  ['GET', '/v2/models/iris/versions/1/ready', 501, { error: 'Model versioning not supported yet.' }],
  ['POST', '/v2/models/iris/versions/1/infer', 501, { error: 'Model versioning not supported yet.' }],
  ['POST', '/v2/repository/index', 404, { detail: 'Not Found' }],
  ['GET', '/v2/models/iris/infer', 405, { detail: 'Method Not Allowed' }],
  ['POST', '/v2/health/live', 405, { detail: 'Method Not Allowed' }],
])('answers %s %s with %i', async (method, path, status, body) => {
  const response = await fetch(server.url + path, { method })
  expect([response.status, await response.json()]).toEqual([status, body])
})

test('lists the allowed methods in a 405 response', async () => {
  const response = await fetch(server.url + IRIS, { method: 'PUT' })
  expect([response.status, response.headers.get('allow')]).toEqual([405, 'POST'])
})

test('accepts the NaN token, as Python’s parser does', async () => {
  const body = '{"inputs":[{"name":"X","shape":[1,4],"datatype":"FP32","data":[1,2,3,NaN]}]}'
  expect((await post(server, IRIS, body)).status).toBe(200)
})

// Tests V1's status codes and bodies over HTTP. The expected answers are those of KServe's Python server.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bundledModels } from './bundled-models.ts'
import { startModelServer, type ModelServer } from './model-server.ts'
import { fixture, get, post } from './testing/requests.ts'

let server: ModelServer

beforeAll(async () => {
  server = await startModelServer({ models: [...bundledModels(), fixture('pair'), fixture('image')] })
})
afterAll(() => server.close())

const IRIS = '/v1/models/iris:predict'
const ROW = [6.8, 2.8, 4.8, 1.4]

test.each([
  ['/', { status: 'alive' }],
  ['/v1/models', { models: ['iris', 'digits', 'pair', 'image'] }],
  ['/v1/models/iris', { name: 'iris', ready: true }],
  ['/v1/models/iri%73', { name: 'iris', ready: true }],
  ['/v1/models/iris?verbose=1', { name: 'iris', ready: true }],
])('responds to GET %s', async (path, body) => {
  const answer = await get(server, path)
  expect(answer.status).toBe(200)
  expect(answer.headers.get('content-type')).toBe('application/json')
  expect(answer.json()).toEqual(body)
})

test('predicts the labels of KServe’s iris example', async () => {
  const answer = await post(server, IRIS, { instances: [ROW, [6.0, 3.4, 4.5, 1.6]] })
  expect(answer.status).toBe(200)
  expect(answer.text).toBe('{"predictions":[1,1]}')
})

test('treats inputs as an alias of instances, and prefers inputs if both are present', async () => {
  const setosa = [5.1, 3.5, 1.4, 0.2]
  expect((await post(server, IRIS, { inputs: [setosa], instances: [ROW, ROW] })).json()).toEqual({
    predictions: [0],
  })
})

test('accepts instances that are objects with a value for each input', async () => {
  expect((await post(server, IRIS, { instances: [{ X: ROW }] })).json()).toEqual({ predictions: [1] })
  const pairs = {
    instances: [
      { a: 6, b: 4 },
      { b: 0, a: 0 },
      { a: 1, b: 0 },
    ],
  }
  expect((await post(server, '/v1/models/pair:predict', pairs)).text).toBe('{"predictions":[1.5,null,null]}')
})

test('nests predictions according to the shape of the first output', async () => {
  const instances = [[[1, 2], [3, 4]], [[5, 6], [7, 8.5]]] // prettier-ignore
  expect((await post(server, '/v1/models/image:predict', { instances })).json()).toEqual({
    predictions: instances,
  })
})

test('ignores unknown keys', async () => {
  const answer = await post(
    server,
    IRIS,
    '{"instances":[[6.8,2.8,4.8,1.4]],"__proto__":{"x":1},"signature_name":"s"}',
  )
  expect(answer.json()).toEqual({ predictions: [1] })
})

test.each([
  ['that is not JSON', '{"instances": [', 400, /^Unrecognized request format: Expecting value/],
  ['that is empty', '', 400, /^Unrecognized request format/],
  [
    'that is not UTF-8',
    Uint8Array.of(0x22, 0xff, 0x22),
    400,
    /^Unrecognized request format: The body is not UTF-8/,
  ],
  ['with NaN', '{"instances":[[NaN,1,1,1]]}', 400, /^Unrecognized request format/],
  ['with 1e400', '{"instances":[[1e400,1,1,1]]}', 400, /^Unrecognized request format/],
  [
    'that is nested too deeply',
    `{"instances":${'['.repeat(5000)}`,
    400,
    /^Unrecognized request format: Nested deeper/,
  ],
  ['with instances that are not a list', '{"instances": 3}', 400, /^Expected "instances" to be a list$/],
  ['with inputs that are not a list', '{"inputs": {"X": 1}}', 400, /^Expected "inputs" to be a list$/],
  ['without instances', '{}', 500, /^KeyError : 'instances'$/],
  ['that is a list', '[]', 500, /^TypeError : /],
  [
    'with too few features',
    '{"instances":[[1,2]]}',
    500,
    /^ValueError : X has 2 features, .* expecting 4 features/,
  ],
  [
    'with too many dimensions',
    '{"instances":[[[1,2,3,4]]]}',
    500,
    /^ValueError : Expected 2D array, got 3D array/,
  ],
  ['without rows', '{"instances":[]}', 500, /^ValueError : Found array with 0 sample/],
  ['with ragged rows', '{"instances":[[1,2,3,4],[1]]}', 500, /^ValueError : .*inhomogeneous/],
  [
    'with a string',
    '{"instances":[[1,2,3,"4"]]}',
    500,
    /^ValueError : input "X": "4" is not a value of FP32$/,
  ],
  ['with null', '{"instances":[[1,2,3,null]]}', 500, /^ValueError : input "X": null is not a value of FP32$/],
  [
    'with 1e39',
    '{"instances":[[1,2,3,1e39]]}',
    500,
    /^ValueError : input "X": 1e\+39 is not a value of FP32$/,
  ],
  ['with an object with unknown keys', '{"instances":[{"toString":[1,2,3,4]}]}', 500, /^KeyError : 'X'/],
])('rejects a body %s', async (_what, body, status, error) => {
  const answer = await post(server, IRIS, body)
  expect(answer.status).toBe(status)
  expect(answer.json()).toEqual({ error: expect.stringMatching(error) as string })
})

test.each(['application/json; charset=utf-8', 'application/x-www-form-urlencoded', 'image/jpeg'])(
  'passes a body with Content-Type %s to the model as bytes, which the model rejects',
  async (contentType) => {
    const answer = await post(server, IRIS, { instances: [ROW] }, { 'content-type': contentType })
    expect(answer.status).toBe(500)
    expect(answer.json().error).toContain(`Content-Type is "${contentType}"`)
  },
)

test('treats application/octet-stream as JSON, as KServe does', async () => {
  const answer = await post(
    server,
    IRIS,
    { instances: [ROW] },
    { 'content-type': 'application/octet-stream' },
  )
  expect(answer.json()).toEqual({ predictions: [1] })
})

test('reads an application/octet-stream body that is not JSON as the FP32 values of the only input', async () => {
  const octets = { 'content-type': 'application/octet-stream' }
  const { instances } = bundledModels().find(({ name }) => name === 'digits')!.example
  const values = Float32Array.from([instances[0]!, instances[0]!].flat())
  const two = new Uint8Array(values.buffer)
  expect(two).toHaveLength(512)
  const predict = (body: Uint8Array, model = 'digits') =>
    post(server, `/v1/models/${model}:predict`, body, octets)
  expect((await predict(two.subarray(0, 256))).text).toBe('{"predictions":[7]}')
  expect((await predict(two)).text).toBe('{"predictions":[7,7]}')
  for (const body of [two.subarray(0, 255), two.subarray(0, 0)]) {
    expect((await predict(body)).json().error).toMatch(/^Unrecognized request format/)
  }
  // "pair" has two inputs, and the rows of "image" are 2x2.
  expect((await predict(two, 'pair')).status).toBe(400)
  expect((await predict(two.subarray(0, 16), 'image')).json().predictions).toHaveLength(1)
})

test.each([
  ['GET', '/v1/models/nope', 404, { error: 'Model with name nope does not exist.' }],
  ['GET', '/v1/models/iris:predict', 404, { error: 'Model with name iris:predict does not exist.' }],
  ['GET', '/v1/models/__proto__', 404, { error: 'Model with name __proto__ does not exist.' }],
  ['POST', '/v1/models/nope:predict', 404, { error: 'Model with name nope does not exist.' }],
  ['POST', '/v1/models/nope:explain', 404, { error: 'Model with name nope does not exist.' }],
  ['POST', '/v1/models/iris:explain', 501, { error: 'Model with name iris has no explainer.' }],
  ['POST', '/v1/models/iris', 405, { detail: 'Method Not Allowed' }],
  ['DELETE', '/v1/models/iris:predict', 405, { detail: 'Method Not Allowed' }],
  ['OPTIONS', '/v1/models/iris:predict', 405, { detail: 'Method Not Allowed' }],
  ['POST', '/', 405, { detail: 'Method Not Allowed' }],
  ['GET', '/v1', 404, { detail: 'Not Found' }],
  ['GET', '/v1/models/a/b', 404, { detail: 'Not Found' }],
  ['GET', '/v1/models/%E0%A4%A', 404, { detail: 'Not Found' }],
  ['GET', '/v1/models/%2e%2e%2firis', 404, { detail: 'Not Found' }],
])('answers %s %s with %i', async (method, path, status, body) => {
  const response = await fetch(server.url + path, { method })
  expect(response.status).toBe(status)
  expect(await response.json()).toEqual(body)
})

test('redirects a path with a trailing slash, and sends no body', async () => {
  const answer = await get(server, '/v1/models/iris/')
  expect([answer.status, answer.headers.get('location'), answer.text]).toEqual([307, '/v1/models/iris', ''])
})

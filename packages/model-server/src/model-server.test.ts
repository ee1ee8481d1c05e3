// Tests start, predictions (compared with Python's), concurrency, limits and stop.
import { strict as assert } from 'node:assert'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { fileURLToPath } from 'node:url'
import * as fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bundledModels } from './bundled-models.ts'
import { startModelServer, type ModelServer } from './model-server.ts'
import { fixture, get, post } from './testing/requests.ts'

let server: ModelServer

beforeAll(async () => {
  server = await startModelServer({ models: bundledModels(), requestBytesMax: 100_000 })
})
afterAll(() => server.close())

interface Expected {
  readonly instances: number[][]
  readonly label: number[]
  readonly probabilities: number[][]
}

/** Returns the results of onnxruntime in Python, which training/train.py writes to a file. */
function expectedOf(model: string): Expected {
  const file = new URL('../training/expected.json', import.meta.url)
  const expected = (JSON.parse(readFileSync(file, 'utf8')) as Record<string, Expected>)[model]
  assert(expected !== undefined)
  return expected
}

function expectClose(actual: number[], wanted: number[]): void {
  expect(actual).toHaveLength(wanted.length)
  for (const [index, value] of wanted.entries()) expect(actual[index]).toBeCloseTo(value, 5)
}

test.each(bundledModels())('$name returns the same results as Python, over V1 and V2', async ({ name }) => {
  const { instances, label, probabilities } = expectedOf(name)
  const v1 = await post(server, `/v1/models/${name}:predict`, { instances })
  expect(v1.json()).toEqual({ predictions: label })

  const data = instances.flat()
  const shape = [instances.length, data.length / instances.length]
  const inputs = [{ name: 'X', shape, datatype: 'FP32', data }]
  const { outputs } = (await post(server, `/v2/models/${name}/infer`, { inputs })).json()
  expect(outputs[0].data).toEqual(label)
  expectClose(outputs[1].data, probabilities.flat())
})

test.each(bundledModels())(
  'the example of $name works, and the model has one label for each class',
  async (model) => {
    const answer = await post(server, `/v1/models/${model.name}:predict`, model.example)
    const { predictions } = answer.json() as { predictions: number[] }
    expect(predictions).toHaveLength(model.example.instances.length)
    if (model.name === 'digits') expect(predictions.map((index) => model.labels[index])).toEqual(['7'])
    const { outputs } = (await get(server, `/v2/models/${model.name}`)).json()
    expect(outputs[1].shape).toEqual([-1, model.labels.length])
  },
)

test('50 concurrent requests each receive their own answer', async () => {
  const { instances, probabilities } = expectedOf('digits')
  const requests = Array.from({ length: 5 }, () => [...instances.entries()]).flat()
  expect(requests).toHaveLength(50)
  await Promise.all(
    requests.map(async ([row, data], index) => {
      const inputs = [{ name: 'X', shape: [1, 64], datatype: 'FP32', data }]
      const answer = (await post(server, '/v2/models/digits/infer', { id: `r${index}`, inputs })).json()
      expect(answer.id).toBe(`r${index}`)
      expectClose(answer.outputs[1].data, probabilities[row] ?? [])
    }),
  )
})

test('responds to any JSON body with a status and JSON, and keeps running', async () => {
  const body = fc.oneof(
    fc.jsonValue(),
    fc.record({ instances: fc.jsonValue() }),
    fc.record({
      inputs: fc.array(
        fc.record({
          name: fc.constantFrom('X', '__proto__'),
          shape: fc.array(fc.oneof(fc.nat(4), fc.integer(), fc.double()), { maxLength: 3 }),
          datatype: fc.constantFrom('FP32', 'BYTES', 'toString'),
          data: fc.jsonValue({ maxDepth: 3 }),
        }),
        { maxLength: 2 },
      ),
    }),
  )
  const path = fc.constantFrom('/v1/models/iris:predict', '/v2/models/iris/infer')
  await fc.assert(
    fc.asyncProperty(path, body, async (path, body) => {
      const answer = await post(server, path, JSON.stringify(body))
      expect([200, 400, 422, 500]).toContain(answer.status)
      expect(answer.json()).toBeTypeOf('object')
      expect(answer.text).not.toContain('InternalError')
    }),
    { numRuns: 200 },
  )
  expect((await get(server, '/v2/models/iris/ready')).status).toBe(200)
})

test('responds 413 to a body above the limit, whether declared or streamed, and keeps running', async () => {
  const large = 'x'.repeat(100_001)
  const announced = await post(server, '/v1/models/iris:predict', large)
  expect([announced.status, announced.json()]).toEqual([
    413,
    { error: 'The body is larger than the limit of 100000 bytes.' },
  ])

  const streamed = httpRequest(`${server.url}/v2/models/iris/infer`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'transfer-encoding': 'chunked' },
  })
  streamed.end(large)
  const [response] = (await once(streamed, 'response')) as [IncomingMessage]
  response.resume()
  expect(response.statusCode).toBe(413)
  expect((await get(server, '/')).status).toBe(200)
})

test('survives clients that disconnect during a request and bytes that are not HTTP', async () => {
  for (const bytes of [
    'POST /v1/models/iris:predict HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n{',
    '\0\0\r\n\r\n',
  ]) {
    const socket = connect(server.port, '127.0.0.1')
    socket.on('error', () => undefined)
    await once(socket, 'connect')
    socket.end(bytes)
    await once(socket.resume(), 'close')
  }
  expect((await get(server, '/')).status).toBe(200)
})

test.each([
  ['two Hosts', ['Host: a', 'Host: b']],
  ['the same Host twice', ['Host: a', 'host: a']],
  ['1,100 fields between two Hosts', ['Host: a', ...Array.from({ length: 1_100 }, () => 'a:'), 'Host: b']],
  ['no Host', []],
])('responds 400 to a request with %s', async (_, hosts) => {
  const socket = connect(server.port, '127.0.0.1')
  socket.write(['GET /v2/health/live HTTP/1.1', ...hosts, '', ''].join('\r\n'))
  let text = ''
  for await (const chunk of socket) text += String(chunk)
  expect(text).toMatch(/^HTTP\/1\.1 400 /)
})

test('keeps a connection open for the next request', async () => {
  const socket = connect(server.port, '127.0.0.1')
  const ask = 'GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n'
  socket.write(ask + ask)
  let text = ''
  for await (const chunk of socket) {
    text += String(chunk)
    if (text.split('{"live":true}').length === 3) break
  }
  expect(text.match(/200 OK/g)).toHaveLength(2)
})

test('close finishes the running request, rejects new requests, and may be called again', async () => {
  const own = await startModelServer({ models: bundledModels().slice(0, 1) })
  const running = httpRequest(`${own.url}/v1/models/iris:predict`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'transfer-encoding': 'chunked', connection: 'keep-alive' },
  })
  running.write('{"instances":')
  // The response to a second request proves that the server has had time to receive the first.
  await get(own, '/')
  const closed = own.close()
  running.end('[[6.8,2.8,4.8,1.4]]}')
  const [response] = (await once(running, 'response')) as [IncomingMessage]
  // Without this header, the connection would stay open until it timed out.
  expect(response.headers.connection).toBe('close')
  let text = ''
  for await (const chunk of response) text += String(chunk)
  expect(text).toBe('{"predictions":[1]}')
  await closed
  await own.close()
  await expect(get(own, '/')).rejects.toThrow('fetch failed')
})

test('close closes connections that have not sent a request', async () => {
  const own = await startModelServer({ models: [] })
  const socket = connect(own.port, '127.0.0.1')
  await once(socket, 'connect')
  await get(own, '/')
  const closed = once(socket, 'close')
  await own.close()
  await closed
})

const here = fileURLToPath(import.meta.url)

test.each([
  [
    'model_file_unreadable',
    [{ name: 'a', file: '/nowhere/a.onnx' }],
    /Cannot read "\/nowhere\/a\.onnx" of model "a".*Check that/,
  ],
  [
    'invalid_model',
    [{ name: 'a', file: here }],
    /cannot load ".*test\.ts" as model "a".*Check that it is an ONNX file/,
  ],
  ['unsupported_model', [fixture('zipmap')], /zipmap\.onnx".*options=\{'zipmap': False\}/],
  ['unsupported_model', [fixture('half')], /input "X" of ".*half\.onnx".*float16.*Export it as one of/],
  [
    'invalid_model_name',
    [{ name: 'a/b', file: 'a.onnx' }],
    /"a\/b" is not a valid model name \(file "a\.onnx"\)/,
  ],
  ['duplicate_model_name', [fixture('pair'), fixture('pair')], /Two models are named "pair".*another name/],
])('refuses to start: %s', async (code, models, message) => {
  await expect(startModelServer({ models })).rejects.toMatchObject({
    name: 'ModelServerError',
    code,
    message: expect.stringMatching(message) as string,
  })
})

test('reports all models that cannot be loaded, in one error', async () => {
  const models = ['a', 'b'].map((name) => ({ name, file: `/nowhere/${name}.onnx` }))
  await expect(startModelServer({ models })).rejects.toThrow(/a\.onnx[^]*b\.onnx/)
})

test('reports a port that is in use', async () => {
  await expect(startModelServer({ models: [], port: server.port })).rejects.toMatchObject({
    code: 'listen_failed',
    message: expect.stringContaining('choose another') as string,
  })
})

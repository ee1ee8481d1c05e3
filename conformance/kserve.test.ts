// Tests KServe's Python server behind the connector: the replies over MQTT equal the HTTP responses, byte for byte.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { runConnector, type TestConnector } from './fixtures/connector.ts'
import { startKserveServer } from './fixtures/kserve-server.ts'
import { startMosquitto, type Mosquitto } from './fixtures/mosquitto.ts'
import { TestClient } from './fixtures/mqtt-client.ts'

let broker: Mosquitto
let server: { readonly url: string; stop(): Promise<void> }
let running: TestConnector
let client: TestClient

beforeAll(async () => {
  broker = await startMosquitto()
  server = await startKserveServer()
  running = await runConnector({
    broker: { url: broker.url },
    models: {
      once: { url: server.url, modelName: 'iris', protocolVersion: 'v1', repeatable: false },
      iris: { url: server.url },
      echo: { url: server.url },
      size: {
        url: server.url,
        protocolVersion: 'v1',
        contentTypes: ['image/jpeg', 'application/octet-stream', 'text/csv'],
      },
      missing: { url: server.url, protocolVersion: 'v1' },
    },
  })
  client = await TestClient.connect(broker.url)
  await client.subscribe('infer/reply/cam7/#')
  await client.subscribe('infer/models/#')
  await client.wait(({ topic }) => topic === 'infer/models/iris', 'card', 20_000)
  await client.wait(({ topic }) => topic === 'infer/models/echo', 'card', 20_000)
})

afterAll(async () => {
  await client.close()
  await running.connector.stop()
  await server.stop()
  await broker.stop()
})

const IRIS_V1 = '{"instances":[[5.1,3.5,1.4,0.2],[6.7,3.0,5.2,2.3]]}'
const IRIS_V2 = JSON.stringify({
  id: 'r1',
  inputs: [
    { name: 'input-0', shape: [2, 4], datatype: 'FP32', data: [5.1, 3.5, 1.4, 0.2, 6.7, 3, 5.2, 2.3] },
  ],
})

test("KServe's Python server gives the same answers through the connector as over HTTP", async () => {
  const calls = [
    ['iris/predict', 'POST', '/v1/models/iris:predict', IRIS_V1],
    ['iris/infer', 'POST', '/v2/models/iris/infer', IRIS_V2],
    ['echo/predict', 'POST', '/v1/models/echo:predict', '{"instances":[9007199254740993,"ä",null]}'],
    ['echo/infer', 'POST', '/v2/models/echo/infer', IRIS_V2],
    ['iris/metadata', 'GET', '/v2/models/iris', ''],
    ['iris/ready', 'GET', '/v2/models/iris/ready', ''],
    // Errors of the server are forwarded unchanged.
    ['iris/explain', 'POST', '/v1/models/iris:explain', IRIS_V1],
    ['iris/predict', 'POST', '/v1/models/iris:predict', '{"instances":[[1,2]]}'],
    ['iris/predict', 'POST', '/v1/models/iris:predict', '{"instances":'],
    ['iris/infer', 'POST', '/v2/models/iris/infer', '{"inputs":['],
    ['missing/predict', 'POST', '/v1/models/missing:predict', IRIS_V1],
  ] as const
  for (const [where, method, path, body] of calls) {
    const direct = await fetch(server.url + path, {
      method,
      ...(method === 'GET' ? {} : { body, headers: { 'content-type': 'application/json' } }),
    })
    const expected = { status: String(direct.status), body: await direct.text() }
    const reply = await client.ask(`infer/request/cam7/${where}`, body)
    expect({ status: reply.user['status'], body: reply.payload.toString() }, where).toEqual(expected)
  }
  const predicted = await client.ask('infer/request/cam7/iris/predict', IRIS_V1)
  expect(predicted.json()).toEqual({ predictions: [0, 2] })
})

test('binary tensors are returned as binary data', async () => {
  const tensor = Buffer.from(Float32Array.from([1.5, Number.NaN, -2, 0]).buffer)
  const header = JSON.stringify({
    id: 'b1',
    inputs: [{ name: 'x', shape: [4], datatype: 'FP32', parameters: { binary_data_size: tensor.length } }],
    parameters: { binary_data_output: true },
  })
  const reply = await client.ask(
    'infer/request/cam7/echo/infer',
    Buffer.concat([Buffer.from(header), tensor]),
    {
      contentType: 'application/octet-stream',
      userProperties: { 'inference-header-content-length': String(Buffer.byteLength(header)) },
    },
  )
  expect(reply.user['status']).toBe('200')
  expect(reply.properties.contentType).toBe('application/octet-stream')
  const length = Number(reply.user['inference-header-content-length'])
  expect(JSON.parse(reply.payload.subarray(0, length).toString())).toMatchObject({
    outputs: [{ name: 'out-x', datatype: 'FP32' }],
  })
  expect(reply.payload.subarray(length)).toEqual(tensor)
})

test('the model receives bodies of listed content types byte for byte, and no bodies of other types', async () => {
  await client.wait(({ topic }) => topic === 'infer/models/size', 'card', 20_000)
  // The beginning of a JPEG file; it is neither UTF-8 nor JSON, and contains a NUL.
  const jpeg = Buffer.concat([Buffer.from('ffd8ffe000104a46', 'hex'), Buffer.alloc(100_000, 0x80)])
  const ask = async (contentType: string, body: Buffer | string) =>
    await client.ask('infer/request/cam7/size/predict', body, { contentType })
  for (const [contentType, body, start] of [
    ['image/jpeg', jpeg, 'ffd8ffe0'],
    ['text/csv', Buffer.from('5.1,3.5\n'), '352e312c'],
  ] as const) {
    const reply = await ask(contentType, body)
    expect(reply.user['status']).toBe('200')
    expect(reply.json()).toEqual({ predictions: [{ bytes: body.length, start }] })
  }
  // KServe parses this type as JSON, although its name does not suggest that; the server's own answer is passed on.
  expect((await ask('application/octet-stream', '{"instances":[1]}')).json()).toEqual({
    error: 'ValueError : the body was parsed as dict',
  })
  expect((await ask('application/octet-stream', jpeg)).user).toMatchObject({
    status: '400',
    code: 'upstream_error',
  })
  const refused = await ask('image/png', jpeg)
  expect(refused.user).toMatchObject({ status: '415', code: 'unsupported_content_type' })
  expect(refused.json()).toMatchObject({
    error:
      'Operation "predict" accepts application/json or image/jpeg or application/octet-stream or text/csv.',
  })
  const card = client.received.find(({ topic }) => topic === 'infer/models/size')!.json()
  expect(card).toMatchObject({ content_types: ['image/jpeg', 'application/octet-stream', 'text/csv'] })
})

test("the model cards contain KServe's metadata", () => {
  const card = client.received.find(({ topic }) => topic === 'infer/models/iris')!.json()
  expect(card).toMatchObject({
    protocol_versions: ['v2', 'v1'],
    inputs: [{ name: 'input-0', datatype: 'FP32', shape: [-1, 4] }],
    outputs: [{ name: 'output-0', datatype: 'INT64', shape: [-1] }],
    example: { operation: 'infer' },
  })
})

test('a request that follows an exception in the model is answered, even if it must not run twice', async () => {
  // After an exception, the server closes the connection a few milliseconds after its answer.
  for (let round = 0; round < 10; round++) {
    const failed = await client.ask('infer/request/cam7/once/predict', '{"instances":[[1,2]]}')
    const next = await client.ask('infer/request/cam7/once/predict', IRIS_V1)
    expect([failed.user['status'], next.user['status']]).toEqual(['500', '200'])
  }
})

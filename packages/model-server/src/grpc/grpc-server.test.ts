// Tests the gRPC service with grpc-js as the client.
import { Client, credentials, status, type ServiceError } from '@grpc/grpc-js'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bundledModels } from '../bundled-models.ts'
import { toyModel } from '../language/toy-model.ts'
import { startModelServer, type ModelServer } from '../model-server.ts'
import { fixture, post } from '../testing/requests.ts'
import { readService } from './inference-proto.ts'

let server: ModelServer
let client: Client

beforeAll(async () => {
  server = await startModelServer({
    models: [...bundledModels(), fixture('types')],
    languageModels: [toyModel()],
    grpcPort: 0,
    requestBytesMax: 100_000,
  })
  client = new Client(new URL(server.grpcUrl!).host, credentials.createInsecure())
})
afterAll(async () => {
  client.close()
  await server.close()
})

function call(name: string, request: object): Promise<any> {
  const { path, requestSerialize, responseDeserialize } = readService()[name]!
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, (error, response) =>
      error === null ? resolve(response) : reject(error as Error),
    )
  })
}

/** A `raw_input_contents` of FP32 values. */
function raw(...values: number[]): Buffer {
  return Buffer.from(Float32Array.from(values).buffer)
}

const ROWS = [6.8, 2.8, 4.8, 1.4, 5.1, 3.5, 1.4, 0.2]
const X = { name: 'X', datatype: 'FP32', shape: [2, 4] }
const TYPED = { model_name: 'iris', inputs: [{ ...X, contents: { fp32_contents: ROWS } }] }
const RAW = { model_name: 'iris', inputs: [X], raw_input_contents: [raw(...ROWS)] }

test('describes the server and its models', async () => {
  expect(await call('ServerLive', {})).toMatchObject({ live: true })
  expect(await call('ServerReady', {})).toMatchObject({ ready: true })
  expect(await call('ServerMetadata', {})).toMatchObject({ name: 'inferwire-model-server' })
  expect(await call('ModelReady', { name: 'digits' })).toMatchObject({ ready: true })
  const metadata = await call('ModelMetadata', { name: 'digits' })
  expect(metadata).toMatchObject({ name: 'digits', platform: 'onnx_onnxruntime' })
  expect(JSON.parse(JSON.stringify(metadata))).toMatchObject({
    inputs: [{ name: 'X', datatype: 'FP32', shape: ['-1', '64'] }],
  })
})

test('typed inputs produce typed outputs, as on KServe’s server', async () => {
  const answer = await call('ModelInfer', { ...TYPED, id: '7' })
  expect(answer).toMatchObject({ model_name: 'iris', id: '7', raw_output_contents: [] })
  const [label, probabilities] = answer.outputs
  expect(label).toMatchObject({ name: 'label', datatype: 'INT64' })
  expect(label.contents.int64_contents.map(Number)).toEqual([1, 0])
  expect(probabilities.contents.fp32_contents).toHaveLength(6)
})

test('raw inputs produce raw outputs, with the same values as over HTTP', async () => {
  const answer = await call('ModelInfer', { ...RAW, outputs: [{ name: 'probabilities' }] })
  expect(answer.id).toMatch(/^[0-9a-f-]{36}$/)
  expect(answer.outputs).toHaveLength(1)
  expect(answer.outputs[0].contents).toBeNull()
  const bytes = Buffer.from(answer.raw_output_contents[0])
  const overGrpc = Array.from({ length: 6 }, (_, index) => bytes.readFloatLE(index * 4))
  const inputs = [{ ...X, data: ROWS }]
  const overHttp = (await post(server, '/v2/models/iris/infer', { inputs })).json()
  expect(overGrpc).toEqual(overHttp.outputs[1].data.map(Math.fround))
})

// The model "types" has one input for each datatype, and returns all inputs unchanged.
test.each([
  ['BOOL', { bool_contents: [true, false] }],
  ['INT8', { int_contents: [-128, 127] }],
  ['INT16', { int_contents: [-32768, 32767] }],
  ['INT32', { int_contents: [-2147483648, 2147483647] }],
  ['INT64', { int64_contents: ['-9223372036854775808', '9007199254740993'] }],
  ['UINT8', { uint_contents: [0, 255] }],
  ['UINT16', { uint_contents: [0, 65535] }],
  ['UINT32', { uint_contents: [0, 4294967295] }],
  ['UINT64', { uint64_contents: ['9007199254740993', '18446744073709551615'] }],
  ['FP32', { fp32_contents: [-1.5, 3.4028234663852886e38] }],
  ['FP64', { fp64_contents: [0.1, 1e308] }],
])('%s values are returned unchanged', async (datatype, contents) => {
  const { inputs } = await call('ModelMetadata', { name: 'types' })
  const request = inputs.map((input: { name: string; datatype: string }) => ({
    name: input.name,
    datatype: input.datatype,
    shape: [2],
    contents: input.datatype === datatype ? toWire(contents) : ZEROS[input.datatype],
  }))
  const answer = await call('ModelInfer', { model_name: 'types', inputs: request })
  const index = inputs.findIndex((input: { datatype: string }) => input.datatype === datatype)
  const plain = JSON.parse(JSON.stringify(answer.outputs[index].contents)) as object
  expect(plain).toMatchObject(contents)
})

const ZEROS: Readonly<Record<string, object>> = {
  BOOL: { bool_contents: [false, false] },
  ...Object.fromEntries(['INT8', 'INT16', 'INT32'].map((name) => [name, { int_contents: [0, 0] }])),
  ...Object.fromEntries(['UINT8', 'UINT16', 'UINT32'].map((name) => [name, { uint_contents: [0, 0] }])),
  INT64: { int64_contents: [0, 0] },
  UINT64: { uint64_contents: [0, 0] },
  FP32: { fp32_contents: [0, 0] },
  FP64: { fp64_contents: [0, 0] },
  BYTES: { bytes_contents: [Buffer.from('a'), Buffer.from('ü')] },
}

// Splits each 64-bit integer, given as decimal text, into two 32-bit halves, which protobufjs can encode.
function toWire(contents: object): object {
  return Object.fromEntries(
    Object.entries(contents).map(([field, values]) => [
      field,
      (values as unknown[]).map((value) => {
        if (typeof value !== 'string') return value
        const bits = BigInt.asUintN(64, BigInt(value))
        return { low: Number(BigInt.asIntN(32, bits)), high: Number(BigInt.asIntN(32, bits >> 32n)) }
      }),
    ]),
  )
}

test.each([
  ['an unknown model', { ...TYPED, model_name: 'nope' }, status.NOT_FOUND, /nope does not exist/],
  ['a language model', { ...TYPED, model_name: 'toy-chat' }, status.NOT_FOUND, /does not exist/],
  ['an unknown output', { ...TYPED, outputs: [{ name: 'y' }] }, status.INVALID_ARGUMENT, /y/],
  ['no inputs', { model_name: 'iris' }, status.INVALID_ARGUMENT, /X/],
  ['the wrong datatype', { ...RAW, inputs: [{ ...X, datatype: 'FP64' }] }, status.INVALID_ARGUMENT, /FP64/],
  ['raw bytes that are too short', { ...RAW, raw_input_contents: [raw(1)] }, status.INTERNAL, /bytes/],
  [
    'one raw content too many',
    { ...RAW, raw_input_contents: [raw(...ROWS), raw()] },
    status.INVALID_ARGUMENT,
    /1 inputs, but 2/,
  ],
  [
    'both contents and raw bytes',
    { ...TYPED, raw_input_contents: [raw(...ROWS)] },
    status.INVALID_ARGUMENT,
    /"X" has contents/,
  ],
  [
    'values in the wrong field',
    { ...TYPED, inputs: [{ ...X, contents: { fp64_contents: ROWS } }] },
    status.INVALID_ARGUMENT,
    /fp32_contents, not in fp64_contents/,
  ],
  [
    'an INT8 of 200',
    { ...TYPED, inputs: [{ ...X, datatype: 'INT8', contents: { int_contents: [200] } }] },
    status.INVALID_ARGUMENT,
    /out of range for INT8/,
  ],
  ['typed FP16', { ...TYPED, inputs: [{ ...X, datatype: 'FP16' }] }, status.INVALID_ARGUMENT, /FP16/],
  [
    'a shape that overflows',
    { ...RAW, inputs: [{ ...X, shape: [2 ** 31, 2 ** 31, 2 ** 31] }] },
    status.INVALID_ARGUMENT,
    /./,
  ],
  ['a negative shape', { ...RAW, inputs: [{ ...X, shape: [-1, 4] }] }, status.INVALID_ARGUMENT, /./],
  [
    'a body above the limit',
    { ...RAW, raw_input_contents: [Buffer.alloc(100_001)] },
    status.RESOURCE_EXHAUSTED,
    /larger than max/,
  ],
])('rejects a request with %s', async (_what, request, code, details) => {
  const error = (await call('ModelInfer', request).catch((error: unknown) => error)) as ServiceError
  expect(error.details).toMatch(details)
  expect(status[error.code]).toBe(status[code])
})

test('rejects bytes that are not a message', async () => {
  const refused = new Promise((_resolve, reject) => {
    client.makeUnaryRequest(
      '/inference.GRPCInferenceService/ModelInfer',
      (bytes: Buffer) => bytes,
      (bytes) => bytes,
      Buffer.from([0xff, 0xff, 0xff]),
      (error) => reject(error as Error),
    )
  })
  await expect(refused).rejects.toMatchObject({ code: status.INTERNAL })
  expect(await call('ServerLive', {})).toMatchObject({ live: true })
})

test('answers the requests of a stream in order, and continues after an error', async () => {
  const { path, requestSerialize, responseDeserialize } = readService()['ModelStreamInfer']!
  const stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize)
  for (const id of ['1', '2']) stream.write({ ...TYPED, id })
  stream.write({ ...TYPED, model_name: 'nope' })
  stream.write({ ...RAW, id: '4' })
  stream.end()
  const answers: any[] = []
  for await (const answer of stream) answers.push(answer)
  expect(answers.map(({ infer_response: response }) => response?.id)).toEqual(['1', '2', undefined, '4'])
  expect(answers[2].error_message).toBe('Model with name nope does not exist.')
})

test('the server continues to work after a client has cancelled a stream', async () => {
  const { path, requestSerialize, responseDeserialize } = readService()['ModelStreamInfer']!
  const stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize)
  const failed = new Promise((resolve) => stream.once('error', resolve))
  stream.write(TYPED)
  stream.once('data', () => stream.cancel())
  expect(await failed).toMatchObject({ code: status.CANCELLED })
  expect(await call('ServerLive', {})).toMatchObject({ live: true })
})

test('reports a gRPC port that is in use, and closes the HTTP server', async () => {
  const grpcPort = Number(new URL(server.grpcUrl!).port)
  await expect(startModelServer({ models: [], grpcPort })).rejects.toMatchObject({
    code: 'grpc_listen_failed',
    message: expect.stringContaining('choose another port') as string,
  })
})

test('encodes repeated numbers packed, as proto3 requires', () => {
  const { responseSerialize } = readService()['ModelInfer']!
  const outputs = [{ name: 'y', datatype: 'FP32', shape: [2], contents: { fp32_contents: [1, 2] } }]
  expect(responseSerialize({ outputs }).toString('hex')).toContain('32080000803f00000040')
})

// Tests ModelInfer with a server whose answers are raw, typed, malformed or too large.
import { fromWireSize, type Problem, type WireRequest, type WireResponse } from '@inferwire/protocol'
import { afterEach, expect, test } from 'vitest'
import type { EndpointRequest, EndpointResponse, Upstream } from '../../step.ts'
import { MESSAGES } from './inference-proto.ts'
import {
  answer,
  refuse,
  startGrpcServer,
  type GrpcServer,
  type GrpcServerOptions,
  type ServedCall,
} from './testing/grpc-server.ts'
import { binaryRequest, jsonRequest, openTestUpstream } from './testing/open-upstream.ts'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

async function serving(
  serve: (call: ServedCall, index: number) => void,
  options: GrpcServerOptions = {},
): Promise<{ server: GrpcServer; upstream: Upstream }> {
  const server = await startGrpcServer(serve, options)
  const upstream = openTestUpstream(server.url)
  closing.push(
    () => upstream.destroy(),
    () => server.stop(),
  )
  return { server, upstream }
}

const infer = (upstream: Upstream, request: EndpointRequest, version?: string): Promise<EndpointResponse> =>
  upstream.endpoint('infer', 'v2', version)!.call(request)
const problemOf = (call: Promise<EndpointResponse>): Promise<Problem> =>
  call.then(
    () => expect.fail('The call succeeded.'),
    (error: unknown) => error as Problem,
  )

const responseOf = (outputs: Partial<WireResponse['outputs'][number]>[], raw: Uint8Array[] = []): Buffer =>
  MESSAGES.response.encode({
    model_name: 'iris',
    model_version: '2',
    id: 'r',
    parameters: {},
    outputs: outputs.map((output) => ({
      name: 'y',
      datatype: 'FP32',
      shape: [1],
      parameters: {},
      ...output,
    })),
    raw_output_contents: raw,
  })
const one = responseOf([{ contents: { fp32_contents: [1] } }])
const body = (data: unknown = [1], datatype = 'FP32'): object => ({
  inputs: [{ name: 'x', shape: [1], datatype, data }],
})
const sent = (server: GrpcServer): WireRequest => MESSAGES.request.decode(server.calls.at(-1)!.message)

test('JSON data is sent as typed contents, with names, version, id and parameters', async () => {
  const { server, upstream } = await serving((call) =>
    call.headers[':path']!.endsWith('/ModelInfer') ? answer(call, [one]) : refuse(call, 5, 'not found'),
  )
  const request = jsonRequest(
    '{"id":"r1","parameters":{"flag":true,"count":-9007199254740993,"top":18446744073709551615,"text":"t","share":0.5},"outputs":[{"name":"y","parameters":{"classification":2}}],"inputs":[{"name":"x","shape":[1,2],"datatype":"INT64","parameters":{"p":1},"data":[9007199254740993,-2]}]}',
  )
  await infer(upstream, request, '7')
  const { model_name, model_version, id, parameters, inputs, outputs, raw_input_contents } = sent(server)
  expect({ model_name, model_version, id }).toEqual({ model_name: 'iris', model_version: '7', id: 'r1' })
  expect(JSON.parse(JSON.stringify(parameters))).toEqual({
    flag: { bool_param: true },
    count: { int64_param: '-9007199254740993' },
    top: { uint64_param: '18446744073709551615' },
    text: { string_param: 't' },
    share: { string_param: '0.5', double_param: 0.5 },
  })
  expect(inputs).toHaveLength(1)
  expect(inputs[0]).toMatchObject({ name: 'x', datatype: 'INT64' })
  expect(inputs[0]!.contents!.int64_contents).toMatchObject([
    { low: 1, high: 2 ** 21 },
    { low: -2, high: -1 },
  ])
  expect(outputs[0]!.name).toBe('y')
  expect(raw_input_contents).toEqual([])
})

test('a fraction in a parameter is also sent as text, which a server without double_param reads', async () => {
  const { server, upstream } = await serving((call) => answer(call, [one]))
  await infer(upstream, jsonRequest({ parameters: { t: 0.5 }, inputs: [] }))
  // Of a oneof, a decoder keeps the last member that it knows: an older server skips field 4 and keeps field 3.
  const encoded = server.calls[0]!.message.toString('latin1')
  expect(encoded).toContain('\x1a\x030.5\x21')
})

test.each([
  ['BOOL', [true], 'bool_contents', [true]],
  ['INT8', [-128], 'int_contents', [-128]],
  ['INT32', [-5], 'int_contents', [-5]],
  ['UINT16', [65535], 'uint_contents', [65535]],
  ['FP32', [0.5], 'fp32_contents', [0.5]],
  ['FP64', [0.1], 'fp64_contents', [0.1]],
  ['BYTES', ['ä'], 'bytes_contents', [Buffer.from('ä')]],
] as const)('%s data is sent in the list for its type', async (datatype, data, list, values) => {
  const { server, upstream } = await serving((call) => answer(call, [one]))
  await infer(upstream, jsonRequest(body(data, datatype)))
  expect(sent(server).inputs[0]!.contents![list]).toEqual(values)
})

test('all data is raw if the request is binary, mixed, or has many values or FP16', async () => {
  const { server, upstream } = await serving((call) => answer(call, [one]))
  const binaryInput = { name: 'b', shape: [2], datatype: 'UINT8', parameters: { binary_data_size: 2 } }
  await infer(
    upstream,
    binaryRequest({ inputs: [binaryInput, ...(body() as { inputs: object[] }).inputs] }, Buffer.from([7, 8])),
  )
  expect(sent(server).raw_input_contents.map((raw) => Buffer.from(raw).toString('hex'))).toEqual([
    '0708',
    '0000803f',
  ])
  expect(sent(server).inputs.every(({ contents }) => contents === null)).toBe(true)
  const many = { name: 'x', shape: [10_001], datatype: 'INT64', data: Array(10_001).fill(-2) }
  await infer(upstream, jsonRequest({ inputs: [many] }))
  const [raw] = sent(server).raw_input_contents
  expect(new BigInt64Array(new Uint8Array(raw!).buffer)).toEqual(new BigInt64Array(10_001).fill(-2n))
  await infer(upstream, jsonRequest(body([1], 'FP16')))
  expect(sent(server).raw_input_contents).toEqual([Buffer.from([0, 0x3c])])
})

test.each<[string, Partial<WireResponse['outputs'][number]>, string]>([
  ['BOOL', { contents: { bool_contents: [true] } }, '[true]'],
  ['INT8', { contents: { int_contents: [-1] } }, '[-1]'],
  ['UINT32', { contents: { uint_contents: [4294967295] } }, '[4294967295]'],
  ['INT64', { contents: { int64_contents: [{ low: -1, high: -1 }] } }, '[-1]'],
  [
    'UINT64',
    { contents: { uint64_contents: [{ low: -1, high: -1, unsigned: true }] } },
    '[18446744073709551615]',
  ],
  ['FP32', { contents: { fp32_contents: [NaN] } }, '[null]'],
  ['FP64', { contents: { fp64_contents: [0.1] } }, '[0.1]'],
  ['BYTES', { contents: { bytes_contents: [Buffer.from('ä')] } }, '["ä"]'],
])('a typed answer with %s data is read', async (datatype, output, data) => {
  const { upstream } = await serving((call) => answer(call, [responseOf([{ ...output, datatype }])]))
  const response = await infer(upstream, jsonRequest(body()))
  expect(response.contentType).toBe('application/json')
  expect(Buffer.from(response.body).toString()).toBe(
    `{"model_name":"iris","model_version":"2","id":"r","outputs":[{"name":"y","datatype":"${datatype}","shape":[1],"data":${data}}]}`,
  )
})

test('a raw answer becomes JSON or binary, as the request specifies', async () => {
  const raw = Buffer.from(Float32Array.of(0.5).buffer)
  const { upstream } = await serving((call) => answer(call, [responseOf([{}], [raw])]))
  const json = await infer(upstream, jsonRequest(body()))
  expect(JSON.parse(Buffer.from(json.body).toString())).toMatchObject({ outputs: [{ data: [0.5] }] })
  const binary = await infer(upstream, jsonRequest({ ...body(), parameters: { binary_data_output: true } }))
  expect(binary.contentType).toBe('application/octet-stream')
  const length = Number(binary.inferenceHeaderContentLength)
  expect(JSON.parse(Buffer.from(binary.body).subarray(0, length).toString())).toMatchObject({
    outputs: [{ name: 'y', parameters: { binary_data_size: 4 } }],
  })
  expect(Buffer.from(binary.body).subarray(length)).toEqual(raw)
})

test('a tensor of 600 KB is sent and received unchanged', async () => {
  const tensor = Buffer.alloc(602_112)
  for (let at = 0; at < tensor.length; at += 4) tensor.writeUInt32LE(at, at)
  const { server, upstream } = await serving((call) => {
    const { inputs, raw_input_contents } = MESSAGES.request.decode(call.message)
    answer(call, [
      responseOf(
        [{ shape: inputs[0]!.shape.map((size) => fromWireSize(size as never)), datatype: 'INT32' }],
        [...raw_input_contents],
      ),
    ])
  })
  const input = {
    name: 'x',
    shape: [1, 3, 224, 224],
    datatype: 'INT32',
    parameters: { binary_data_size: tensor.length },
  }
  const response = await infer(
    upstream,
    binaryRequest({ inputs: [input], parameters: { binary_data_output: true } }, tensor),
  )
  expect(server.calls).toHaveLength(1)
  expect(
    Buffer.from(response.body).subarray(Number(response.inferenceHeaderContentLength)).equals(tensor),
  ).toBe(true)
})

test('an invalid body is rejected before any call, and the message names the place of the mistake', async () => {
  const { server, upstream } = await serving((call) => answer(call, [one]))
  const problem = await problemOf(infer(upstream, jsonRequest(body([1, 2]))))
  expect(problem).toMatchObject({
    code: 'bad_payload',
    message: 'The body is invalid. cannot reshape array of size 2 into shape (1,)',
  })
  const place = await problemOf(infer(upstream, jsonRequest({ inputs: [{ name: 'x', shape: 'no' }] })))
  expect(place.message).toBe('The body is invalid. inputs.0.shape: Input should be a valid list')
  const long = await problemOf(
    infer(upstream, jsonRequest({ inputs: [{ name: 'x'.repeat(5_000), shape: [1], datatype: 'no' }] })),
  )
  expect(long.message.length).toBeLessThan(400)
  expect(server.calls).toHaveLength(0)
})

test.each(['18446744073709551616', '-9223372036854775809'])(
  'a parameter of %s, which has more than 64 bits, is a bad request',
  async (value) => {
    const { server, upstream } = await serving((call) => answer(call, [one]))
    const requests = [
      `{"inputs":[],"parameters":{"p":${value}}}`,
      `{"inputs":[],"outputs":[{"name":"y","parameters":{"p":${value}}}]}`,
    ]
    for (const request of requests) {
      expect(await problemOf(infer(upstream, jsonRequest(request)))).toMatchObject({
        code: 'bad_payload',
        message: `The body is invalid. Parameter "p" is ${value}, an integer of more than 64 bits.`,
      })
    }
    expect(server.calls).toHaveLength(0)
  },
)

test('JSON of more than 1 MiB is refused; binary tensors are not', async () => {
  const { server, upstream } = await serving((call) => answer(call, [one]))
  const input = { name: 'x', shape: [2 ** 20], datatype: 'UINT8' }
  const binary = { inputs: [{ ...input, parameters: { binary_data_size: 2 ** 20 } }] }
  await infer(upstream, binaryRequest(binary, new Uint8Array(2 ** 20)))
  expect(server.calls).toHaveLength(1)
  const padding = ' '.repeat(2 ** 20)
  const requests = [
    jsonRequest(JSON.stringify(body()) + padding),
    binaryRequest({ ...binary, id: padding }, new Uint8Array(2 ** 20)),
  ]
  for (const request of requests) {
    expect(await problemOf(infer(upstream, request))).toMatchObject({
      code: 'payload_too_large',
      message: expect.stringContaining('Publish binary tensors.') as string,
    })
  }
  expect(server.calls).toHaveLength(1)
})

const bare = (): EndpointRequest =>
  jsonRequest('', {
    body: Buffer.alloc(16),
    contentType: 'application/octet-stream',
    inferenceHeaderContentLength: '0',
  })

test('a body without JSON takes its shape from the metadata, which is queried once', async () => {
  const { server, upstream } = await serving((call) => {
    const isMetadata = call.headers[':path']!.endsWith('ModelMetadata')
    const metadata = {
      name: 'iris',
      versions: [],
      platform: '',
      outputs: [],
      inputs: [
        {
          name: 'x',
          datatype: 'FP32',
          shape: [
            { low: -1, high: -1 },
            { low: 2, high: 0 },
          ],
        },
      ],
    }
    answer(call, [isMetadata ? MESSAGES.metadata.encode(metadata) : responseOf([{}], [new Uint8Array(4)])])
  })
  const response = await infer(upstream, bare())
  expect(response.contentType).toBe('application/octet-stream')
  expect(sent(server).inputs[0]!.shape.map((size) => fromWireSize(size as never))).toEqual([2, 2])
  await infer(upstream, bare())
  expect(server.calls.map(({ headers }) => headers[':path']!.split('/')[2])).toEqual([
    'ModelMetadata',
    'ModelInfer',
    'ModelInfer',
  ])
})

test.each<[string, Buffer[], string]>([
  ['no message', [], 'upstream_invalid_response'],
  ['two messages', [one, one], 'upstream_invalid_response'],
  [
    'a message that is not a ModelInferResponse',
    [Buffer.from([0xff, 0xff, 0xff])],
    'upstream_invalid_response',
  ],
  [
    'fewer raw tensors than outputs',
    [responseOf([{}, {}], [new Uint8Array(4)])],
    'upstream_invalid_response',
  ],
  ['a raw tensor of the wrong size', [responseOf([{}], [new Uint8Array(3)])], 'upstream_invalid_response'],
  [
    'an unknown datatype',
    [responseOf([{ datatype: 'FP8' }], [new Uint8Array(1)])],
    'upstream_invalid_response',
  ],
  ['a truncated integer', [Buffer.from('2a0c1205494e5436342a031a0180', 'hex')], 'upstream_invalid_response'],
  ['too many outputs', [responseOf(Array.from({ length: 10_001 }, () => ({})))], 'upstream_invalid_response'],
  ['typed FP16', [responseOf([{ datatype: 'FP16' }])], 'upstream_invalid_response'],
  [
    'a message above the limit',
    [responseOf([{ shape: [300_000] }], [new Uint8Array(1_200_000)])],
    'response_too_large',
  ],
  // 400,000 bytes become 2 MB of JSON.
  [
    'values whose JSON is above the limit',
    [responseOf([{ shape: [100_000] }], [Buffer.from(new Float32Array(100_000).fill(0.1).buffer)])],
    'response_too_large',
  ],
])('reports an answer with %s as a problem', async (_, messages, code) => {
  const { upstream } = await serving((call) => answer(call, messages))
  expect((await problemOf(infer(upstream, jsonRequest(body())))).code).toBe(code)
})

test('rejects a request for an output that the model does not have', async () => {
  const { upstream } = await serving((call) => answer(call, [one]))
  const problem = await problemOf(infer(upstream, jsonRequest({ ...body(), outputs: [{ name: 'z' }] })))
  expect(problem).toMatchObject({
    code: 'bad_payload',
    message: 'The body is invalid. The model has no output "z"; its outputs are "y"',
  })
})

test.each([
  ['after it has received the request', false],
  ['before it has received the request', true],
])('reports whether the body was sent if the server answers %s', async (_, isEarly) => {
  const { upstream } = await serving((call) => answer(call, [one]), { isEarly })
  const values = Buffer.alloc(4_000_000)
  const input = {
    name: 'x',
    shape: [1_000_000],
    datatype: 'FP32',
    parameters: { binary_data_size: values.length },
  }
  const response = await infer(upstream, binaryRequest({ inputs: [input] }, values))
  expect(response.isBodySent).toBe(!isEarly)
})

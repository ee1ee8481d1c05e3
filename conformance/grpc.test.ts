// Tests V2 over gRPC end to end, from MQTT to the gRPC ports of KServe's Python server, Triton and MLServer.
import type { ConfigInput } from '@inferwire/connector'
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runConnector, type TestConnector } from './fixtures/connector.ts'
import { startKserveServer } from './fixtures/kserve-server.ts'
import { startMlserver } from './fixtures/mlserver.ts'
import { startMosquitto, type Mosquitto } from './fixtures/mosquitto.ts'
import { TestClient, type Received } from './fixtures/mqtt-client.ts'
import { blocksOf, ROOT } from './fixtures/page-blocks.ts'
import { shell, start } from './fixtures/processes.ts'
import type { PythonServer } from './fixtures/python-server.ts'
import { SEVEN } from './fixtures/seven.ts'
import { startTriton } from './fixtures/triton-server.ts'

type ModelInput = NonNullable<ConfigInput['models']>[string]

let broker: Mosquitto
let servers: Record<'kserve' | 'triton' | 'mlserver', PythonServer>
let running: TestConnector
let client: TestClient

function on(server: PythonServer, modelName: string, options: object = {}): ModelInput {
  return { url: server.grpcUrl, protocolVersion: 'grpc-v2', modelName, ...options }
}

beforeAll(async () => {
  const [mosquitto, kserve, triton, mlserver] = await Promise.all([
    startMosquitto(),
    startKserveServer(),
    startTriton(),
    startMlserver(),
  ])
  broker = mosquitto
  servers = { kserve, triton, mlserver }
  running = await runConnector({
    broker: { url: broker.url },
    models: {
      'kserve-iris': on(kserve, 'iris'),
      'kserve-echo': on(kserve, 'echo'),
      'kserve-echo-http': { url: kserve.url, modelName: 'echo' },
      'triton-echo': on(triton, 'echo', { versions: ['1', '9'] }),
      'triton-echo-http': { url: triton.url, modelName: 'echo' },
      'triton-digits': on(triton, 'digits'),
      'triton-digits-http': { url: triton.url, modelName: 'digits' },
      'triton-slow': on(triton, 'slow'),
      'triton-text': on(triton, 'text'),
      'triton-small': on(triton, 'echo', { limits: { responseBytesMax: 1000 } }),
      'mlserver-iris': on(mlserver, 'iris', { versions: ['v1', 'v9'] }),
      'mlserver-echo': on(mlserver, 'echo'),
      'mlserver-echo-http': { url: mlserver.url, modelName: 'echo' },
      missing: on(kserve, 'missing'),
      nowhere: { url: 'http://127.0.0.1:1', protocolVersion: 'grpc-v2', retry: { attemptsMax: 1 } },
    },
  })
  client = await TestClient.connect(broker.url)
  await client.subscribe('infer/reply/cam7/#')
  await client.subscribe('infer/models/#')
}, 300_000)

afterAll(async () => {
  await client.close()
  await running.connector.stop()
  await Promise.all(Object.values(servers).map((server) => server.stop()))
  await broker.stop()
})

const ask = (model: string, body: unknown, properties = {}, operation = 'infer'): Promise<Received> =>
  client.ask(
    `infer/request/cam7/${model}/${operation}`,
    typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body),
    properties,
  )
const input = (name: string, datatype: string, shape: number[], data: unknown): object => ({
  name,
  datatype,
  shape,
  data,
})
const statusOf = ({ user }: Received): string => `${user['status']} ${user['code'] ?? ''}`.trim()

/** Publishes a JSON part and a tensor, as the V2 binary tensor extension defines. */
function askBinary(model: string, json: object, tensor: Buffer): Promise<Received> {
  const head = Buffer.from(JSON.stringify(json))
  return ask(model, Buffer.concat([head, tensor]), {
    contentType: 'application/octet-stream',
    userProperties: { 'inference-header-content-length': String(head.length) },
  })
}

describe.each(['kserve', 'triton', 'mlserver'])('%s', (server) => {
  const shape = (length: number): number[] => (server === 'triton' ? [length] : [1, length])

  test('a request gets the same outputs over gRPC as over HTTP', async () => {
    await client.wait(({ topic }) => topic === `infer/models/${server}-echo-http`, 'card', 20_000)
    const body = { id: 'r1', inputs: [input('x', 'FP32', shape(4), [1.5, -2, 0.1, 3e38])] }
    const overGrpc = await ask(`${server}-echo`, body)
    const overHttp = await ask(`${server}-echo-http`, body)
    expect([statusOf(overGrpc), statusOf(overHttp)]).toEqual(['200', '200'])
    expect(overGrpc.properties.contentType).toBe('application/json')
    const answer = overGrpc.json() as { id: string; model_name: string; outputs: { data: number[] }[] }
    expect(answer).toMatchObject({ id: 'r1', model_name: 'echo' })
    // Over HTTP, MLServer returns the doubles of the request; over gRPC, it returns FP32 values.
    expect(answer.outputs).toMatchObject([{ name: 'out-x', datatype: 'FP32', shape: shape(4) }])
    const http = overHttp.json() as typeof answer
    expect(answer.outputs[0]!.data).toEqual(http.outputs[0]!.data.map(Math.fround))
  })

  test.each([
    ['INT64', '9007199254740993,-9223372036854775808'],
    ['UINT64', '18446744073709551615,0'],
    ['BOOL', 'true,false'],
    ['INT32', '-2147483648,7'],
    ['UINT8', '255,0'],
    ['FP64', '0.1,1e+300'],
    ['FP16', '0.5,65504'],
    ['BYTES', '"ä",""'],
  ])('%s values are returned exactly', async (datatype, values) => {
    const name = server === 'triton' ? datatype.toLowerCase() : 'x'
    const x = server === 'triton' ? '{"name":"x","datatype":"FP32","shape":[1],"data":[1]},' : ''
    const reply = await ask(
      `${server}-echo`,
      `{"inputs":[${x}{"name":"${name}","datatype":"${datatype}","shape":${JSON.stringify(shape(2))},"data":[${values}]}]}`,
    )
    expect(statusOf(reply), reply.payload.toString()).toBe('200')
    expect(reply.payload.toString()).toContain(
      `"datatype":"${datatype}","shape":${JSON.stringify(shape(2))},"data":[${values}]`,
    )
  })

  test('a binary tensor of 600 KB with NaN is returned unchanged', async () => {
    const tensor = Buffer.from(
      Float32Array.from({ length: 150_528 }, (_, index) => (index === 7 ? NaN : index / 3)).buffer,
    )
    const json = {
      parameters: { binary_data_output: true },
      inputs: [
        {
          name: 'x',
          datatype: 'FP32',
          shape: shape(150_528),
          parameters: { binary_data_size: tensor.length },
        },
      ],
    }
    const reply = await askBinary(`${server}-echo`, json, tensor)
    expect(statusOf(reply)).toBe('200')
    expect(reply.properties.contentType).toBe('application/octet-stream')
    const length = Number(reply.user['inference-header-content-length'])
    expect(reply.payload.subarray(length).equals(tensor)).toBe(true)
  })

  test('ready and metadata requests are answered with the same bodies as over HTTP', async () => {
    expect((await ask(`${server}-echo`, '', {}, 'ready')).json()).toEqual({ name: 'echo', ready: true })
    expect((await ask(`${server}-echo`, '', {}, 'metadata')).json()).toMatchObject({ name: 'echo' })
  })

  test.each([
    ['sizes that do not add up', { inputs: [input('x', 'FP32', [3], [1, 2])] }],
    [
      'a shape whose product overflows',
      { inputs: [input('x', 'FP32', Array<number>(20).fill(2 ** 31 - 1), [1])] },
    ],
    ['a numeric id', { id: 7, inputs: [] }],
    ['NaN in JSON', '{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[NaN]}]}'],
    [
      'an INT64 above its range',
      '{"inputs":[{"name":"x","datatype":"INT64","shape":[1],"data":[9223372036854775808]}]}',
    ],
    ['an unknown output', { inputs: [input('x', 'FP32', shape(1), [1])], outputs: [{ name: 'none' }] }],
  ])('a request with %s is rejected with status 400', async (what, body) => {
    const reply = await ask(`${server}-echo`, body)
    // Triton itself rejects an unknown output.
    const own = server === 'triton' && what === 'an unknown output' ? '400 upstream_error' : '400 bad_payload'
    expect(statusOf(reply), reply.payload.toString()).toBe(own)
  })
})

async function cardOf(model: string): Promise<unknown> {
  const isComplete = ({ topic, payload }: Received): boolean =>
    topic === `infer/models/${model}` && payload.includes('"inputs"')
  return (await client.wait(isComplete, `card of ${model}`, 20_000)).json()
}

test('the cards contain the metadata received over gRPC, and only the operations that the server supports', async () => {
  const iris = await cardOf('kserve-iris')
  expect(iris).toMatchObject({
    protocol_versions: ['v2'],
    operations: ['infer', 'metadata', 'ready'],
    inputs: [{ name: 'input-0', datatype: 'FP32', shape: [-1, 4] }],
    outputs: [{ name: 'output-0', datatype: 'INT64', shape: [-1] }],
  })
  expect(await cardOf('triton-digits')).toMatchObject({
    platform: 'python',
    versions: ['1'],
    operations: ['infer', 'infer_stream', 'metadata', 'ready'],
    inputs: [{ name: 'X', datatype: 'FP32', shape: [-1, 64] }],
  })
  expect(await cardOf('mlserver-iris')).toMatchObject({
    operations: ['infer', 'infer_stream', 'metadata', 'ready'],
    inputs: [{ name: 'predict', datatype: 'FP64', shape: [-1, 4] }],
  })
})

test('scikit-learn models classify irises on KServe and MLServer', async () => {
  const data = [5.1, 3.5, 1.4, 0.2, 6.7, 3, 5.2, 2.3]
  const kserve = await ask('kserve-iris', { inputs: [input('input-0', 'FP32', [2, 4], data)] })
  expect(kserve.json()).toMatchObject({ outputs: [{ name: 'output-0', data: [0, 2] }] })
  const mlserver = await ask('mlserver-iris', {
    inputs: [input('predict', 'FP64', [2, 4], data)],
    outputs: [{ name: 'predict' }],
  })
  expect(mlserver.json()).toMatchObject({ outputs: [{ name: 'predict', data: [0, 2] }] })
})

describe.each(['triton-digits', 'triton-digits-http'])('%s', (model) => {
  test('a payload of 256 bytes without a JSON part is classified as the image of a digit', async () => {
    await client.wait(({ topic }) => topic === `infer/models/${model}`, 'card', 20_000)
    const reply = await ask(model, SEVEN, {
      contentType: 'application/octet-stream',
      userProperties: { 'inference-header-content-length': '0' },
    })
    expect(statusOf(reply), reply.payload.toString()).toBe('200')
    const length = Number(reply.user['inference-header-content-length'])
    const { outputs } = JSON.parse(reply.payload.subarray(0, length).toString()) as {
      outputs: { name: string }[]
    }
    expect(outputs.map(({ name }) => name)).toEqual(['label', 'probabilities'])
    expect(reply.payload.readBigInt64LE(length)).toBe(7n)
  })

  test('the commands in the guide publish such a payload, and print the digit', async () => {
    await client.wait(({ topic }) => topic === `infer/models/${model}`, 'card', 20_000)
    const blocks = blocksOf('docs/guides/kserve-and-kubeflow.md')
    const marked = blocks.filter(({ mark }) => mark === 'triton')
    const [subscribe, publish] = marked.map(({ text }) =>
      text.replace('/digits/', `/${model}/`).replace('1883', String(broker.port)),
    )
    const shown = blocks[blocks.indexOf(marked[1]!) + 1]!.text
    const subscriber = start('sh', ['-c', subscribe!])
    // Sends the request again if the subscriber was not ready in time.
    await expect
      .poll(
        async () => {
          expect(await shell(publish!, { cwd: ROOT })).toMatchObject({ code: 0, stderr: '' })
          return subscriber.stdout().trim()
        },
        { timeout: 20_000 },
      )
      .toBe(shown.trim())
    await subscriber.ended
  })
})

test('the bytes of the example are the values of the JSON example', () => {
  const json = readFileSync(`${ROOT}packages/model-server/examples/digits-v1.json`, 'utf8')
  const { instances } = JSON.parse(json) as { instances: number[][] }
  expect(SEVEN).toEqual(Buffer.from(Float32Array.from(instances[0]!).buffer))
})

test('the version in a topic is passed to Triton and MLServer', async () => {
  const x = { inputs: [input('x', 'FP32', [1], [1])] }
  expect((await ask('triton-echo@1', x)).json()).toMatchObject({ model_version: '1' })
  expect(statusOf(await ask('triton-echo@9', x))).toBe('503 model_not_ready')
  const iris = { inputs: [input('predict', 'FP64', [1, 4], [5.1, 3.5, 1.4, 0.2])] }
  expect((await ask('mlserver-iris@v1', iris)).json()).toMatchObject({ model_version: 'v1' })
  expect(statusOf(await ask('mlserver-iris@v9', iris))).toBe('503 model_not_ready')
})

test('errors of the servers have the same codes and statuses over gRPC as over HTTP', async () => {
  expect(statusOf(await ask('triton-echo', { inputs: [input('z', 'FP32', [1], [1])] }))).toBe(
    '400 upstream_error',
  )
  expect(statusOf(await ask('kserve-iris', { inputs: [input('x', 'FP32', [1, 2], [1, 2])] }))).toBe(
    '500 upstream_error',
  )
  expect(statusOf(await ask('missing', { inputs: [] }))).toBe('404 upstream_error')
  expect(statusOf(await ask('nowhere', { inputs: [] }))).toBe('502 upstream_unreachable')
  const large = { inputs: [input('x', 'FP32', [1000], Array<number>(1000).fill(0.1))] }
  expect(statusOf(await ask('triton-small', large))).toBe('502 response_too_large')
})

const wait = (ms: number): object => ({ inputs: [input('x', 'INT32', [1, 1], [ms])] })

test('a call ends at its deadline, and later calls to the same server are answered', async () => {
  const late = await ask('triton-slow', wait(1500), { userProperties: { 'timeout-ms': '300' } })
  expect(statusOf(late)).toBe('504 deadline_exceeded')
  expect(statusOf(await ask('triton-slow', wait(1)))).toBe('200')
})

test('cancelling a stream also stops the models of Triton and MLServer', async () => {
  const streams = [
    [
      'triton-text',
      {
        inputs: [
          input('text_input', 'BYTES', [1], ['a b']),
          input('max_tokens', 'INT32', [1], [200]),
          input('delay_ms', 'INT32', [1], [50]),
        ],
      },
      () => servers.triton.log().includes('text: cancelled before word'),
    ],
    [
      'mlserver-echo',
      {
        id: 'stopped',
        parameters: { delay_ms: 50 },
        inputs: [input('x', 'FP32', [200], Array<number>(200).fill(1))],
      },
      () => servers.mlserver.log().includes('echo: cancelled stopped'),
    ],
  ] as const
  for (const [model, body, isCancelled] of streams) {
    const hasStreams = ({ topic, payload }: Received): boolean =>
      topic === `infer/models/${model}` && payload.includes('"infer_stream"')
    await client.wait(hasStreams, `card of ${model}`, 20_000)
    const correlationData = Buffer.from(`cancel-${model}`)
    const isFinal = ({ properties, user }: Received): boolean =>
      properties.correlationData?.equals(correlationData) === true && user['final'] === 'true'
    const reply = client.wait(isFinal, `end of ${model}`, 20_000)
    await client.publish(`infer/request/cam7/${model}/infer_stream`, JSON.stringify(body), {
      correlationData,
    })
    // The stream lasts ten seconds, so the cancel message arrives before the stream ends.
    const isPart = ({ properties, user }: Received): boolean =>
      properties.correlationData?.equals(correlationData) === true && user['seq'] === '1'
    await client.wait(isPart, `second part of ${model}`)
    await client.publish(`infer/cancel/cam7/${model}/infer_stream`, '', { correlationData })
    expect(statusOf(await reply), model).toBe('499 cancelled')
    await expect.poll(isCancelled, { timeout: 5_000 }).toBe(true)
  }
})

test.each([
  [
    'triton-text',
    { inputs: [input('text_input', 'BYTES', [1], ['to be']), input('max_tokens', 'INT32', [1], [3])] },
    ['to ', 'be ', 'to '],
  ],
  ['mlserver-echo', { inputs: [input('x', 'FP32', [2], [1.5, 2])] }, [1.5, 2]],
] as const)('each answer in a stream of %s is published as a part', async (model, body, values) => {
  const correlationData = Buffer.from(`stream-${model}`)
  const isOurs = ({ properties }: Received): boolean =>
    properties.correlationData?.equals(correlationData) === true
  await client.publish(`infer/request/cam7/${model}/infer_stream`, JSON.stringify(body), { correlationData })
  const last = await client.wait((message) => isOurs(message) && message.user['final'] === 'true', 'end')
  expect(last.payload.toString()).toBe('[DONE]')
  const parts = client.received.filter((message) => isOurs(message) && message !== last)
  expect(parts.map(({ user }) => user['seq'])).toEqual(values.map((_, index) => String(index)))
  const outputs = parts.map((part) => (part.json() as { outputs: { data: unknown[] }[] }).outputs[0]!.data[0])
  expect(outputs).toEqual(values)
})

// Tests the SDK's typed tensors through the connector, against KServe's Python server and the bundled model server.
import { connect, toFloat32, type Client, type InputTensor, type TensorReply } from '@inferwire/client'
import { bundledModels, startModelServer, type ModelServer } from '@inferwire/model-server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startKserveServer } from './fixtures/kserve-server.ts'
import { sdkAndConnector, type SdkAndConnector } from './fixtures/sdk-and-connector.ts'

let kserve: { readonly url: string; stop(): Promise<void> }
let bundled: ModelServer
let sdk: SdkAndConnector
let client: Client
let oldClient: Client

beforeAll(async () => {
  kserve = await startKserveServer()
  bundled = await startModelServer({ models: bundledModels() })
  // The client has received the cards; it sends binary tensors only after that.
  sdk = await sdkAndConnector({
    echo: { url: kserve.url },
    'kserve-iris': { url: kserve.url, modelName: 'iris' },
    iris: { url: bundled.url },
    v1only: { url: bundled.url, modelName: 'iris', protocolVersion: 'v1' },
  })
  ;({ client } = sdk)
  oldClient = await connect(sdk.broker.url, { mqttVersion: '3.1.1' })
})

afterAll(async () => {
  await oldClient.close()
  await sdk.stop()
  await bundled.close()
  await kserve.stop()
})

const isBinary = ({ contentType, headers }: TensorReply): boolean =>
  contentType === 'application/octet-stream' && headers['inference-header-content-length'] !== undefined

const tensor = (data: InputTensor['data'], datatype?: InputTensor['datatype']): InputTensor => ({
  name: 'x',
  shape: [2, 1],
  data,
  datatype,
})

const EXACT = [
  tensor(Uint8Array.of(0, 255)),
  tensor(Uint16Array.of(0, 65_535)),
  tensor(Uint32Array.of(0, 4_294_967_295)),
  tensor(BigUint64Array.of(9_007_199_254_740_993n, 18_446_744_073_709_551_615n)),
  tensor(Int8Array.of(-128, 127)),
  tensor(Int16Array.of(-32_768, 32_767)),
  tensor(Int32Array.of(-2_147_483_648, 2_147_483_647)),
  tensor(BigInt64Array.of(-9_223_372_036_854_775_808n, 9_007_199_254_740_993n)),
  tensor(Float32Array.of(0.1, 3.402_823_466_385_288_6e38)),
  tensor(Float64Array.of(0.1, 5e-324)),
  tensor(Uint8Array.of(1, 0), 'BOOL'),
  tensor(['', 'grün 🌱']),
]

describe('KServe returns every value exactly', () => {
  test('in binary, which is the default if the card allows it', async () => {
    for (const input of EXACT) {
      const reply = await client.infer('echo', [input])
      expect(isBinary(reply)).toBe(true)
      expect(reply.modelName).toBe('echo')
      expect(reply.output('out-x')).toMatchObject({ shape: [2, 1], data: input.data })
      if (input.datatype !== undefined) expect(reply.output().datatype).toBe(input.datatype)
    }
  })

  test('as JSON, with MQTT 5 and with MQTT 3.1.1', async () => {
    for (const input of EXACT) {
      for (const reply of [
        await client.infer('echo', [input], { encoding: 'json' }),
        await oldClient.infer('echo', [input]),
      ]) {
        expect(isBinary(reply)).toBe(false)
        expect(reply.output().data).toEqual(input.data)
      }
    }
  })

  test('including NaN, infinities and FP16 values, which only binary bodies can contain', async () => {
    const special = Float32Array.of(NaN, -Infinity)
    expect((await client.infer('echo', [tensor(special)])).output().data).toEqual(special)
    const half = (await client.infer('echo', [tensor([1.5, -2], 'FP16')])).output()
    expect(half.datatype).toBe('FP16')
    expect([...toFloat32(half)]).toEqual([1.5, -2])
    await expect(client.infer('echo', [tensor(special)], { encoding: 'json' })).rejects.toThrow(/is NaN/)
  })
})

test('several inputs keep their names, and `outputs` selects among the outputs', async () => {
  const inputs = [
    { name: 'a', shape: [1], data: Int8Array.of(1) },
    { name: 'b', shape: [0, 3], data: new Float64Array(0) },
    { name: 'c', shape: [], data: BigInt64Array.of(7n) },
  ]
  const all = await client.infer('echo', inputs)
  expect(all.outputs.map(({ name }) => name)).toEqual(['out-a', 'out-b', 'out-c'])
  expect(all.output('out-b')).toMatchObject({ datatype: 'FP64', shape: [0, 3] })
  expect(all.output('out-c').data).toEqual(BigInt64Array.of(7n))
  expect(() => all.output()).toThrow(
    /output\(\) needs a name: model "[^"]+" has the outputs "out-a", "out-b", "out-c"/,
  )
  expect(() => all.output('d')).toThrow(/expected one output "d"/)
  const some = await client.infer('echo', inputs, { outputs: ['out-c'] })
  expect(isBinary(some)).toBe(true)
  expect(some.outputs.map(({ name }) => name)).toEqual(['out-c'])
})

test.each(['iris', 'kserve-iris'])('%s classifies typed rows', async (model) => {
  const rows = Float32Array.of(5.1, 3.5, 1.4, 0.2, 6.7, 3, 5.2, 2.3)
  const input = { name: 'input-0', shape: [2, 4], data: rows }
  for (const encoding of ['binary', 'json'] as const) {
    const reply = await client.infer(model, [input], { encoding })
    const [labels] = reply.outputs
    expect([...labels!.data].map(Number)).toEqual([0, 2])
  }
})

test("tensors for a model without V2 are rejected with the connector's error", async () => {
  await expect(client.infer('v1only', [tensor(Float32Array.of(1, 2))])).rejects.toMatchObject({
    code: 'operation_not_supported',
  })
})

test('a wrong shape causes a TypeError before anything is sent', async () => {
  const wrong = client.infer('echo', [{ name: 'x', shape: [3], data: Float32Array.of(1) }])
  await expect(wrong).rejects.toThrow(/has 1 values, but its shape \(3,\) has 3/)
  await expect(wrong).rejects.toThrow(TypeError)
})

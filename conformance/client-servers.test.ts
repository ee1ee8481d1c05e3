// Tests the SDK's tensors and streams through the connector, against Triton, MLServer and KServe's OpenAI server.
import { connect, toFloat32, type Client } from '@inferwire/client'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { startKserveOpenai } from './fixtures/kserve-openai.ts'
import { startMlserver } from './fixtures/mlserver.ts'
import { sdkAndConnector, type SdkAndConnector } from './fixtures/sdk-and-connector.ts'
import { startTriton } from './fixtures/triton-server.ts'

let triton: Awaited<ReturnType<typeof startTriton>>
let mlserver: Awaited<ReturnType<typeof startMlserver>>
let kserve: Awaited<ReturnType<typeof startKserveOpenai>>
let sdk: SdkAndConnector
let client: Client

beforeAll(async () => {
  ;[triton, mlserver, kserve] = await Promise.all([startTriton(), startMlserver(), startKserveOpenai()])
  sdk = await sdkAndConnector({
    'triton-echo': { url: triton.url, modelName: 'echo' },
    'triton-nan': { url: triton.url, modelName: 'nan' },
    'triton-text': { url: triton.url, modelName: 'text' },
    'ml-echo': { url: mlserver.url, modelName: 'echo' },
    words: { url: kserve.url },
  })
  ;({ client } = sdk)
}, 120_000)

afterAll(async () => {
  await sdk.stop()
  await Promise.all([triton.stop(), mlserver.stop(), kserve.stop()])
})

describe('Triton', () => {
  test('returns every value exactly, in binary', async () => {
    const inputs = [
      { name: 'x', shape: [2], data: Float32Array.of(0.1, NaN) },
      { name: 'bool', shape: [2], data: [true, false] },
      { name: 'uint8', shape: [1], data: Uint8Array.of(255) },
      { name: 'int32', shape: [1], data: Int32Array.of(-7) },
      { name: 'int64', shape: [1], data: BigInt64Array.of(9_007_199_254_740_993n) },
      { name: 'uint64', shape: [1], data: BigUint64Array.of(2n ** 64n - 1n) },
      { name: 'fp16', shape: [2], data: [1.5, -2], datatype: 'FP16' as const },
      { name: 'fp64', shape: [1], data: Float64Array.of(5e-324) },
      { name: 'bytes', shape: [2], data: [Uint8Array.of(0xff, 0), new Uint8Array(0)] },
    ]
    const outputs = inputs.map(({ name }) => `out-${name}`)
    const reply = await client.infer('triton-echo', inputs, { outputs })
    expect(reply.contentType).toBe('application/octet-stream')
    for (const { name, data, datatype } of inputs) {
      const output = reply.output(`out-${name}`)
      if (datatype === 'FP16') expect([...toFloat32(output)]).toEqual(data)
      else if (name === 'bool') expect(output.data).toEqual(Uint8Array.of(1, 0))
      else expect(output.data).toEqual(data)
    }
  })

  test.each(['binary', 'json'] as const)('returns NaN and infinities in %s answers', async (encoding) => {
    const input = { name: 'x', shape: [1], data: Float32Array.of(1) }
    const { data } = (await client.infer('triton-nan', [input], { encoding })).output()
    expect(data).toEqual(Float32Array.of(1.5, NaN, Infinity))
  })

  test('streams the answers of generate, and stops when the application leaves the loop', async () => {
    const body = { text_input: 'one two three', max_tokens: 5, stream: true }
    const words: string[] = []
    for await (const part of client.stream('triton-text', { operation: 'generate', body })) {
      words.push((part.json() as { text_output: string }).text_output.trim())
    }
    expect(words).toEqual(['one', 'two', 'three', 'one', 'two'])
    const long = { ...body, max_tokens: 500, delay_ms: 50 }
    for await (const part of client.stream('triton-text', { operation: 'generate', body: long })) {
      if (part.seq === 1) break
    }
    await vi.waitFor(() => expect(triton.log()).toMatch(/text: cancelled before word/), 10_000)
  })

  test('throws an error in the middle of a stream only after the parts before it', async () => {
    const body = { text_input: 'one two', max_tokens: 5, fail_at: 2, stream: true }
    const words: string[] = []
    const read = async (): Promise<void> => {
      for await (const part of client.stream('triton-text', { operation: 'generate', body })) {
        words.push((part.json() as { text_output: string }).text_output.trim())
      }
    }
    await expect(read()).rejects.toThrow(/the model failed on purpose/)
    expect(words).toEqual(['one', 'two'])
  })
})

describe('MLServer', () => {
  // The second tensor contains bytes that are not valid UTF-8. MLServer rejects them with a different status.
  test.each([
    [422, BigInt64Array.of(1n)],
    [500, BigInt64Array.of(-9_007_199_254_740_993n)],
  ])('rejects binary tensors (%i), after which the client sends JSON', async (status, data) => {
    const other = await connect(sdk.broker.url)
    const input = { name: 'x', shape: [1], data }
    const binary = other.infer('ml-echo', [input], { encoding: 'binary' })
    await expect(binary).rejects.toMatchObject({ code: 'upstream_error', status })
    for (const reply of [await other.infer('ml-echo', [input]), await other.infer('ml-echo', [input])]) {
      expect(reply.output('out-x').data).toEqual(data)
      expect(reply.contentType).toBe('application/json')
    }
    await other.close()
  })

  test('streams the answers of infer_stream', async () => {
    const body = { inputs: [{ name: 'x', shape: [3], datatype: 'INT32', data: [1, 2, 3] }] }
    const values: unknown[] = []
    const stream = client.stream('ml-echo', { operation: 'infer_stream', body })
    for await (const part of stream) {
      values.push((part.json() as { outputs: [{ data: [number] }] }).outputs[0].data[0])
    }
    expect(values).toEqual([1, 2, 3])
    expect(stream.finalReply?.status).toBe(200)
  })
})

test("the chunks that KServe's OpenAI server streams add up to the whole answer of a chat", async () => {
  const messages = [{ role: 'user', content: 'one two three' }]
  let answer = ''
  for await (const chunk of client.chat('words', messages, { stream: true })) {
    answer += chunk.choices[0]?.delta.content ?? ''
  }
  const whole = await client.chat('words', messages)
  expect(answer).toBe(whole.choices[0]!.message.content)
  expect(answer.length).toBeGreaterThan(3)
})

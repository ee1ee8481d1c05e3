// Tests the model servers of the fixtures directly: they must give the answers that the tests of the connector expect.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startKserveOpenai } from './fixtures/kserve-openai.ts'
import { startKserveServer } from './fixtures/kserve-server.ts'
import { startMlserver } from './fixtures/mlserver.ts'
import type { PythonServer } from './fixtures/python-server.ts'
import { SEVEN } from './fixtures/seven.ts'
import { startTriton } from './fixtures/triton-server.ts'
import { callGrpc } from './rig/grpc-call.ts'
import { bytesTensor, fieldsOf, inferRequest, namedModel } from './rig/grpc-wire.ts'

interface Answer {
  readonly status: number
  readonly type: string | null
  readonly text: string
}

let servers: {
  readonly kserve: PythonServer
  readonly triton: PythonServer
  readonly mlserver: PythonServer
  readonly openai: Omit<PythonServer, 'grpcUrl'>
}

beforeAll(async () => {
  const [kserve, triton, mlserver, openai] = await Promise.all([
    startKserveServer(),
    startTriton(),
    startMlserver(),
    startKserveOpenai(),
  ])
  servers = { kserve, triton, mlserver, openai }
})

afterAll(async () => {
  await Promise.all(Object.values(servers).map((server) => server.stop()))
})

const FLOATS = (...values: number[]): Buffer => Buffer.from(Float32Array.from(values).buffer)
const IRIS = [5.1, 3.5, 1.4, 0.2, 6.7, 3, 5.2, 2.3]
const fp32 = (name: string, shape: number[], data: number[]): object => ({
  name,
  shape,
  datatype: 'FP32',
  data,
})

const x = (value: number): object => ({ inputs: [fp32('x', [1], [value])] })
const error = (text: string): string => JSON.stringify({ error: text })

async function post(
  url: string,
  body: unknown,
  headers: Record<string, string> = { 'content-type': 'application/json' },
): Promise<Answer> {
  const isRaw = typeof body === 'string' || body instanceof Uint8Array
  const sent = isRaw ? body : JSON.stringify(body)
  const response = await fetch(url, { method: 'POST', headers, body: sent as string })
  return { status: response.status, type: response.headers.get('content-type'), text: await response.text() }
}

async function get(url: string): Promise<Answer> {
  const response = await fetch(url)
  return { status: response.status, type: response.headers.get('content-type'), text: await response.text() }
}

/** Returns the data of the server-sent events in an answer. */
function eventsOf({ text }: Answer): string[] {
  return text.split('\n\n').flatMap((event) => (event === '' ? [] : event.replace('data: ', '')))
}

/** Reads until the pattern matches, then closes the connection. */
async function readUntil(url: string, body: unknown, pattern: RegExp): Promise<void> {
  const abort = new AbortController()
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal: abort.signal,
  })
  let seen = ''
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    seen += chunk
    if (pattern.test(seen)) break
  }
  abort.abort()
  expect(seen).toMatch(pattern)
}

describe('KServe', () => {
  let server: PythonServer
  beforeAll(() => {
    server = servers.kserve
  })

  test('answers V1, and passes a body that is not JSON to the model', async () => {
    const { url } = server
    const instances = [IRIS.slice(0, 4), IRIS.slice(4)]
    expect(await post(`${url}/v1/models/iris:predict`, { instances })).toMatchObject({
      status: 200,
      text: '{"predictions":[0,2]}',
    })
    const jpeg = Buffer.from('ffd8ffe000104a464946', 'hex')
    expect(await post(`${url}/v1/models/size:predict`, jpeg, { 'content-type': 'image/jpeg' })).toMatchObject(
      {
        status: 200,
        text: '{"predictions":[{"bytes":10,"start":"ffd8ffe0"}]}',
      },
    )
    expect(await post(`${url}/v1/models/nan:predict`, { instances: [] })).toMatchObject({
      text: '{"predictions":[1.5,null,null]}',
    })
    expect(await post(`${url}/v1/models/echo:explain`, { instances: [7] })).toMatchObject({
      text: '{"explanations":[7]}',
    })
  })

  test('reports errors with its own statuses', async () => {
    const v1 = `${server.url}/v1/models`
    const answers = {
      unknown: await post(`${v1}/nope:predict`, { instances: [] }),
      unready: await post(`${v1}/unready:predict`, { instances: [] }),
      raises: await post(`${v1}/raises:predict`, { instances: [] }),
      noExplainer: await post(`${v1}/iris:explain`, { instances: [] }),
      noJson: await post(`${v1}/iris:predict`, '{'),
      noJsonV2: await post(`${server.url}/v2/models/iris/infer`, '{'),
    }
    expect(answers.unknown).toMatchObject({
      status: 404,
      text: error('Model with name nope does not exist.'),
    })
    expect(answers.unready).toMatchObject({
      status: 503,
      text: error('Model with name unready is not ready.'),
    })
    expect(answers.raises).toMatchObject({ status: 500, text: error('RuntimeError : boom') })
    expect([answers.noExplainer.status, answers.noJson.status, answers.noJsonV2.status]).toEqual([
      501, 400, 422,
    ])
    expect(answers.noJsonV2.text).toContain('{"detail":[{"type":"json_invalid"')
  })

  test('answers over gRPC, and returns NOT_FOUND for an unknown model', async () => {
    const raw = FLOATS(...IRIS)
    const request = inferRequest('iris', 'g1', [{ name: 'input-0', datatype: 'FP32', shape: [2, 4], raw }])
    const answer = await callGrpc(server.grpcUrl, 'ModelInfer', request)
    expect(answer).toMatchObject({ status: 0 })
    const fields = fieldsOf(answer.messages[0]!)
    expect(fields.get(3)).toEqual([Buffer.from('g1')])
    expect(fields.get(6)).toEqual([Buffer.from(BigInt64Array.from([0n, 2n]).buffer)])
    expect(await callGrpc(server.grpcUrl, 'ModelReady', namedModel('nope'))).toMatchObject({ status: 5 })
  })
})

describe('Triton', () => {
  let server: PythonServer
  let models: string
  beforeAll(() => {
    server = servers.triton
    models = `${server.url}/v2/models`
  })

  test('answers V2 JSON, in which NaN is a bare token', async () => {
    const echo = await post(`${models}/echo/infer`, {
      inputs: [
        fp32('x', [1], [0.1]),
        { name: 'bytes', shape: [2], datatype: 'BYTES', data: ['ä', ''] },
        { name: 'bool', shape: [1], datatype: 'BOOL', data: [true] },
      ],
    })
    expect(JSON.parse(echo.text)).toEqual({
      model_name: 'echo',
      model_version: '1',
      outputs: [
        { name: 'out-x', datatype: 'FP32', shape: [1], data: [0.10000000149011612] },
        { name: 'out-bytes', datatype: 'BYTES', shape: [2], data: ['ä', ''] },
        { name: 'out-bool', datatype: 'BOOL', shape: [1], data: [true] },
      ],
    })
    expect((await post(`${models}/nan/infer`, x(0))).text).toContain('"data":[1.5,NaN,Infinity]')
  })

  test('classifies a body that consists of the tensor alone', async () => {
    const headers = { 'inference-header-content-length': '0', 'content-type': 'application/octet-stream' }
    const raw = await fetch(`${models}/digits/infer`, { method: 'POST', headers, body: SEVEN })
    const body = Buffer.from(await raw.arrayBuffer())
    const header = Number(raw.headers.get('inference-header-content-length'))
    const outputs = body.subarray(header)
    expect(outputs.length).toBe(8 + 10 * 4)
    expect(outputs.readBigInt64LE(0)).toBe(7n)
  })

  test('executes simultaneous requests as one batch', async () => {
    const request = { inputs: [fp32('x', [1, 1], [2])] }
    const answers = await Promise.all(Array.from({ length: 8 }, () => post(`${models}/batch/infer`, request)))
    const sizes = answers.map(({ text }) => Number(/"batch_size"[^}]*"data":\[(\d+)\]/.exec(text)?.[1]))
    expect(Math.max(...sizes)).toBeGreaterThan(1)
  })

  test('streams words, and reports an error before and after the first word', async () => {
    const stream = (body: object): Promise<Answer> => post(`${models}/text/generate_stream`, body)
    const whole = await stream({ text_input: 'a b', max_tokens: 3 })
    expect(whole).toMatchObject({ status: 200, type: 'text/event-stream; charset=utf-8' })
    expect(
      eventsOf(whole).map((event) => (JSON.parse(event) as { text_output: string }).text_output),
    ).toEqual(['a ', 'b ', 'a '])
    const failure = '{"error":"the model failed on purpose"}'
    expect(await stream({ text_input: 'a', fail_at: 0 })).toMatchObject({
      status: 400,
      text: `data: ${failure}\n\n`,
    })
    expect(eventsOf(await stream({ text_input: 'a', fail_at: 1 })).at(-1)).toBe(failure)
    const two = await post(`${models}/text/generate`, { text_input: 'a', max_tokens: 2 })
    expect([two.status, two.text]).toEqual([200, expect.stringContaining('{"error":"generate expects')])
  })

  test('reports errors with its own statuses', async () => {
    expect(await post(`${models}/raises/infer`, x(0))).toMatchObject({
      status: 500,
      text: expect.stringMatching(/RuntimeError: boom\\n\\nAt:\\n {2}\/.*model\.py/) as string,
    })
    expect(await post(`${models}/raises/infer`, x(1))).toMatchObject({
      status: 400,
      type: 'text/plain',
      text: '{"error":"x must be 0"}',
    })
    expect(await post(`${models}/echo/infer`, '{')).toMatchObject({ status: 500 })
    expect(await get(`${models}/nope/ready`)).toMatchObject({ status: 400 })
    expect(await post(`${models}/nope/infer`, x(0))).toMatchObject({ status: 404 })
    const wait = { inputs: [{ name: 'x', shape: [1, 1], datatype: 'INT32', data: [300] }] }
    const crowd = await Promise.all(Array.from({ length: 5 }, () => post(`${models}/slow/infer`, wait)))
    expect(crowd.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 200, 200, 503, 503])
  })

  test('answers and streams over gRPC', async () => {
    expect(await callGrpc(server.grpcUrl, 'ModelReady', namedModel('digits'))).toMatchObject({
      status: 0,
      messages: [Buffer.from([8, 1])],
    })
    const raw = bytesTensor(['a b'])
    const request = inferRequest('text', 's1', [{ name: 'text_input', datatype: 'BYTES', shape: [1], raw }])
    const answer = await callGrpc(server.grpcUrl, 'ModelStreamInfer', request)
    const words = answer.messages.map((message) => {
      const response = fieldsOf(fieldsOf(message).get(2)![0] as Buffer)
      return (response.get(6)?.[0] as Buffer | undefined)?.subarray(4).toString()
    })
    expect(words).toEqual(['a ', 'b ', 'a ', 'b '])
  })

  test('stops a stream whose connection closes', async () => {
    const request = { text_input: 'a', max_tokens: 100, delay_ms: 20 }
    await readUntil(`${models}/text/generate_stream`, request, /text_output.*text_output/s)
    await expect.poll(() => server.log(), { timeout: 10_000 }).toMatch(/text: cancelled before word \d+/)
  })
})

describe('MLServer', () => {
  let server: PythonServer
  let models: string
  beforeAll(() => {
    server = servers.mlserver
    models = `${server.url}/v2/models`
  })

  test('answers V2 JSON on paths with and without a version', async () => {
    const inputs = [fp32('predict', [2, 4], IRIS)]
    const answer = await post(`${models}/iris/infer`, { inputs })
    expect(JSON.parse(answer.text)).toMatchObject({
      model_name: 'iris',
      model_version: 'v1',
      outputs: [{ name: 'predict', shape: [2, 1], datatype: 'INT64', data: [0, 2] }],
    })
    const outputs = [{ name: 'predict_proba' }]
    const version = await post(`${models}/iris/versions/v1/infer`, { inputs, outputs })
    expect(JSON.parse(version.text)).toMatchObject({ outputs: [{ name: 'predict_proba', shape: [2, 3] }] })
  })

  test('streams answers, and cuts the stream off when the model fails', async () => {
    const inputs = [{ name: 't', shape: [3], datatype: 'BYTES', data: ['a', 'b', 'c'] }]
    const whole = await post(`${models}/echo/infer_stream`, { id: 's1', inputs })
    expect(whole).toMatchObject({ status: 200, type: 'text/event-stream; charset=utf-8' })
    const data = eventsOf(whole).map(
      (event) => (JSON.parse(event) as { outputs: { data: string[] }[] }).outputs[0]!.data,
    )
    expect(data).toEqual([['a'], ['b'], ['c']])
    const broken = post(`${models}/echo/infer_stream`, { id: 's2', parameters: { fail_at: 1 }, inputs })
    await expect(broken).rejects.toThrow('terminated')
  })

  test('stops a stream whose connection closes', async () => {
    const letters = Array.from({ length: 100 }, () => 'a')
    const inputs = [{ name: 't', shape: [100], datatype: 'BYTES', data: letters }]
    const request = { id: 'gone', parameters: { delay_ms: 20 }, inputs }
    await readUntil(`${models}/echo/infer_stream`, request, /out-t.*out-t/s)
    await expect.poll(() => server.log(), { timeout: 10_000 }).toContain('echo: cancelled gone')
  })

  test('reports errors with its own statuses', async () => {
    expect(await post(`${models}/raises/infer`, x(0))).toMatchObject({
      status: 500,
      type: 'text/plain; charset=utf-8',
      text: 'Internal Server Error',
    })
    expect(await post(`${models}/raises/infer`, x(1))).toMatchObject({
      status: 400,
      text: '{"error":"x must be 0"}',
    })
    expect(await get(`${models}/nope/ready`)).toMatchObject({ status: 404 })
    expect(await post(`${models}/nope/infer`, x(0))).toMatchObject({
      status: 404,
      text: '{"error":"Model nope not found"}',
    })
    expect(await post(`${models}/iris/infer`, '{')).toMatchObject({ status: 422 })
  })

  test('answers and streams over gRPC', async () => {
    const raw = bytesTensor(['a', 'b'])
    const request = inferRequest('echo', 's1', [{ name: 't', datatype: 'BYTES', shape: [2], raw }])
    const answer = await callGrpc(server.grpcUrl, 'ModelStreamInfer', request)
    const letters = answer.messages.map((message) =>
      (fieldsOf(message).get(6)?.[0] as Buffer | undefined)?.subarray(4).toString(),
    )
    expect(letters).toEqual(['a', 'b'])
    expect(await callGrpc(server.grpcUrl, 'ModelInfer', inferRequest('nope', '', []))).toMatchObject({
      status: 5,
    })
  })
})

describe('KServe with OpenAI routes', () => {
  let server: Omit<PythonServer, 'grpcUrl'>
  let v1: string
  beforeAll(() => {
    server = servers.openai
    v1 = `${server.url}/openai/v1`
  })

  const messages = [{ role: 'user', content: 'one two' }]
  const chat = (more: object): Promise<Answer> =>
    post(`${v1}/chat/completions`, { model: 'words', messages, ...more })

  test('answers chat, completions and embeddings', async () => {
    expect(JSON.parse((await chat({})).text)).toMatchObject({
      object: 'chat.completion',
      choices: [{ message: { role: 'assistant', content: 'one two ' } }],
      usage: { prompt_tokens: 2, completion_tokens: 2 },
    })
    const completion = await post(`${v1}/completions`, { model: 'words', prompt: 'x', max_tokens: 2 })
    expect(JSON.parse(completion.text)).toMatchObject({ choices: [{ text: 'x x ' }] })
    const embedding = await post(`${v1}/embeddings`, { model: 'vectors', input: ['one two', 'x'] })
    expect(JSON.parse(embedding.text)).toMatchObject({ data: [{ embedding: [7, 2] }, { embedding: [1, 1] }] })
  })

  test('streams chunks, usage and [DONE], and cuts the stream off when the model fails', async () => {
    const whole = await chat({ stream: true, stream_options: { include_usage: true } })
    expect(whole).toMatchObject({ status: 200, type: 'text/event-stream; charset=utf-8' })
    const events = eventsOf(whole)
    expect(events).toHaveLength(5)
    expect(JSON.parse(events[0]!)).toMatchObject({ choices: [{ delta: { content: 'one ' } }] })
    expect(JSON.parse(events[3]!)).toMatchObject({ choices: [], usage: { completion_tokens: 2 } })
    expect(events[4]).toBe('[DONE]')
    await expect(chat({ stream: true, fail_at: 1 })).rejects.toThrow('terminated')
  })

  test('reports errors in two formats', async () => {
    expect(await chat({ stream: true, fail_at: 0 })).toMatchObject({
      status: 500,
      text: '{"error":"RuntimeError : boom"}',
    })
    const refused = await chat({ max_tokens: 0 })
    expect([refused.status, JSON.parse(refused.text)]).toEqual([
      400,
      {
        error: {
          code: '400',
          message: 'max_tokens must be at least 1, not 0',
          param: 'max_tokens',
          type: 'BadRequestError',
        },
      },
    ])
    expect(await chat({ model: 'nope' })).toMatchObject({
      status: 404,
      text: '{"error":"Model with name nope does not exist."}',
    })
    expect(await chat({ model: 'vectors' })).toMatchObject({ status: 400 })
    expect(await post(`${v1}/chat/completions`, { model: 'words' })).toMatchObject({ status: 422 })
  })

  test('stops a stream whose connection closes', async () => {
    const request = { model: 'words', messages, user: 'gone', stream: true, delay_ms: 20, max_tokens: 100 }
    await readUntil(`${v1}/chat/completions`, request, /one .*two /s)
    await expect.poll(() => server.log(), { timeout: 10_000 }).toMatch(/cancelled gone after \d+ words/)
  })
})

// Tests ModelStreamInfer with the answers of Triton and of MLServer, and streams that break.
import { Problem, type WireResponse } from '@inferwire/protocol'
import { once } from 'node:events'
import { constants } from 'node:http2'
import { afterEach, expect, test } from 'vitest'
import type { EndpointResponse, ReplyPart } from '../../step.ts'
import { GrpcConnection } from './grpc-connection.ts'
import { MESSAGES } from './inference-proto.ts'
import { StreamEndpoint } from './stream-endpoint.ts'
import { answer, framed, refuse, startGrpcServer, type ServedCall } from './testing/grpc-server.ts'
import { deadlineIn, jsonRequest } from './testing/open-upstream.ts'
import { ServiceTime } from '../refusal/service-time.ts'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

async function serving(
  serve: (call: ServedCall) => void,
  idleTimeoutMs = 60_000,
  refresh?: () => boolean,
): Promise<StreamEndpoint> {
  const server = await startGrpcServer(serve)
  const connection = new GrpcConnection({
    origin: server.url,
    host: undefined,
    trust: () => ({ rejectUnauthorized: true }),
    serverName: undefined,
  })
  closing.push(
    () => connection.destroy(),
    () => server.stop(),
  )
  const target = {
    connection,
    origin: server.url,
    credential: { headers: () => [], ...(refresh === undefined ? {} : { refresh }) },
    isRepeatable: true,
    responseBytesMax: 1_000_000,
    errorText: 'first-line',
    host: undefined,
    serviceTime: new ServiceTime(),
    stream: { idleTimeoutMs, timeoutMs: 60_000, coalesceMs: 0 },
  } as const
  return new StreamEndpoint(target, { name: 'llm', version: '' }, () => Promise.resolve([]))
}

const BODY = { inputs: [{ name: 'x', shape: [1], datatype: 'FP32', data: [1] }] }
const word = (text: string, id = ''): WireResponse => ({
  model_name: 'llm',
  model_version: '1',
  id,
  parameters: {},
  outputs: [
    {
      name: 'text',
      datatype: 'BYTES',
      shape: [1],
      parameters: {},
      contents: { bytes_contents: [Buffer.from(text)] },
    },
  ],
  raw_output_contents: [],
})
const triton = (response: WireResponse): Buffer =>
  MESSAGES.streamResponse.encode({ error_message: '', infer_response: response })
const tritonError = (text: string): Buffer => MESSAGES.streamResponse.encode({ error_message: text })

interface Streamed {
  readonly words: string[]
  readonly end: EndpointResponse | Problem
}

async function streamed(endpoint: StreamEndpoint, body: object = BODY): Promise<Streamed> {
  const parts: ReplyPart[] = []
  const end = await endpoint
    .call(jsonRequest(body, { emit: (part) => parts.push(part) }))
    .catch((error: unknown) => Problem.from(error))
  const words = parts.map((part) => {
    expect(part.contentType).toBe('application/json')
    const { outputs } = JSON.parse(Buffer.from(part.body).toString()) as { outputs: { data: string[] }[] }
    return outputs[0]!.data[0]!
  })
  return { words, end }
}

const DONE = { endsStream: true, status: 200, contentType: 'text/plain', body: Buffer.from('[DONE]') }

test.each<[string, Buffer[]]>([
  ['Triton', [triton(word('a')), triton(word('b', 'r1'))]],
  ['MLServer', [MESSAGES.response.encode(word('a', 'r1')), MESSAGES.response.encode(word('b'))]],
])('each answer of %s is a part with a V2 body, and the last message is [DONE]', async (_, messages) => {
  const endpoint = await serving((call) => answer(call, messages))
  expect(await streamed(endpoint)).toMatchObject({ words: ['a', 'b'], end: DONE })
})

test('an output that is requested as binary is sent as JSON, because a part has no length header', async () => {
  const endpoint = await serving((call) => answer(call, [triton(word('a'))]))
  const outputs = [{ name: 'text', parameters: { binary_data: true } }]
  expect((await streamed(endpoint, { ...BODY, outputs })).words).toEqual(['a'])
})

test("Triton's empty final response is not a part; a stream without answers is complete", async () => {
  const final = { ...word(''), outputs: [], parameters: { triton_final_response: { bool_param: true } } }
  const endpoint = await serving((call) => answer(call, [triton(word('a')), triton(final)]))
  expect(await streamed(endpoint)).toMatchObject({ words: ['a'], end: DONE })
  const empty = await serving((call) => answer(call, []))
  expect(await streamed(empty)).toMatchObject({ words: [], end: DONE })
})

test('a stream that already had a part is not called again with another credential', async () => {
  let calls = 0
  const endpoint = await serving(
    (call) => {
      calls += 1
      answer(call, [triton(word('a'))], 16, 'Jwt is expired')
    },
    60_000,
    () => true,
  )
  expect(await streamed(endpoint)).toMatchObject({ words: ['a'], end: { code: 'unauthorized_upstream' } })
  expect(calls).toBe(1)
})

test("the model's error, which Triton sends in a message, ends the stream", async () => {
  const endpoint = await serving((call) =>
    answer(call, [triton(word('a')), tritonError('boom'), triton(word('b'))]),
  )
  const { words, end } = await streamed(endpoint)
  expect(words).toEqual(['a'])
  expect(end).toMatchObject({ code: 'upstream_error', status: 500 })
  expect(Buffer.from((end as Problem).body!).toString()).toBe('{"error":"boom"}')
})

test('a stream that breaks after a part is reported as interrupted; before the first part, as unreachable and retryable', async () => {
  const middle = await serving(({ stream }) => {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' })
    stream.write(framed(triton(word('a'))), () => setImmediate(() => stream.session!.destroy()))
  })
  expect(await streamed(middle)).toMatchObject({
    words: ['a'],
    end: { code: 'stream_interrupted', retryable: true },
  })
  const start = await serving(({ stream }) => stream.session!.destroy())
  expect(await streamed(start)).toMatchObject({ words: [], end: { code: 'upstream_unreachable' } })
})

test.each<[string, Buffer, object | undefined]>([
  ['without a status', framed(triton(word('a'))), undefined],
  [
    'in the middle of a message',
    Buffer.concat([framed(triton(word('a'))), Buffer.from([0, 0, 0, 0, 9])]),
    { 'grpc-status': '0' },
  ],
])(
  'a stream that ends %s after a part is reported as interrupted, as over HTTP',
  async (_, bytes, trailers) => {
    const endpoint = await serving(({ stream }) => {
      const headers = { ':status': 200, 'content-type': 'application/grpc' }
      stream.respond(headers, { waitForTrailers: trailers !== undefined })
      stream.on('wantTrailers', () => stream.sendTrailers({ ...trailers }))
      stream.end(bytes)
    })
    expect(await streamed(endpoint)).toMatchObject({
      words: ['a'],
      end: { code: 'stream_interrupted', retryable: true },
    })
  },
)

test('a server without the streaming method and a malformed message are reported as problems', async () => {
  const endpoint = await serving((call) => refuse(call, 12, 'Method not found!'))
  expect((await streamed(endpoint)).end).toMatchObject({ code: 'upstream_error', status: 501 })
  const malformed = await serving((call) => answer(call, [Buffer.from([0xff])]))
  expect((await streamed(malformed)).end).toMatchObject({ code: 'upstream_invalid_response' })
})

test('an answer is a part even if the same chunk ends with an invalid message', async () => {
  const compressed = Buffer.from([1, 0, 0, 0, 0])
  const endpoint = await serving(({ stream }) => {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' })
    stream.write(Buffer.concat([framed(triton(word('a'))), compressed]))
  })
  expect(await streamed(endpoint)).toMatchObject({
    words: ['a'],
    end: { code: 'upstream_invalid_response' },
  })
})

test('a cancellation in the middle of a stream reaches the server, and no further part is emitted', async () => {
  let stream: ServedCall['stream'] | undefined
  const endpoint = await serving((call) => {
    stream = call.stream
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' })
    stream.write(framed(triton(word('a'))))
  })
  const deadline = deadlineIn()
  const problem = new Problem('cancelled', 'The client cancelled the request.')
  const parts: ReplyPart[] = []
  const emit = (part: ReplyPart): void => {
    parts.push(part)
    deadline.pass(problem)
  }
  await expect(endpoint.call(jsonRequest(BODY, { deadline, emit }))).rejects.toBe(problem)
  if (!stream!.closed) await once(stream!, 'close')
  expect(stream!.rstCode).toBe(constants.NGHTTP2_CANCEL)
  expect(parts).toHaveLength(1)
})

test('no deadline is sent, because a stream may continue beyond it', async () => {
  let timeout: unknown = 'none'
  const endpoint = await serving((call) => {
    timeout = call.headers['grpc-timeout']
    answer(call, [])
  })
  await streamed(endpoint)
  expect(timeout).toBeUndefined()
})

test('a stream that pauses too long is interrupted, and the model server receives the cancellation', async () => {
  let stream: ServedCall['stream'] | undefined
  const endpoint = await serving((call) => {
    stream = call.stream
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' })
    stream.write(framed(triton(word('a'))))
  }, 50)
  expect(await streamed(endpoint)).toMatchObject({ words: ['a'], end: { code: 'stream_interrupted' } })
  if (!stream!.closed) await once(stream!, 'close')
  expect(stream!.rstCode).toBe(constants.NGHTTP2_CANCEL)
})

// Tests the streams of V2: generate and infer_stream.
import { afterEach, beforeEach, expect, test } from 'vitest'
import { RequestDeadline } from '../../admission/index.ts'
import { breaking, END, event, sending, SSE, StreamRig } from './testing/stream-rig.ts'

let rig: StreamRig
beforeEach(async () => void (rig = await StreamRig.start(RequestDeadline)))
afterEach(() => rig.stop())

const GENERATE = { operation: 'generate', dialect: 'v2' } as const

test('generate uses the streaming path if the body asks for a stream, and the stream ends with the response body', async () => {
  rig.answer = (response, { url }) =>
    url!.endsWith('/generate')
      ? void response.writeHead(200, { 'content-type': 'application/json' }).end('{"text_output":"ab"}')
      : sending(event('{"text_output":"a"}'), event('{"text_output":"b"}'))(response, undefined as never)
  const whole = await rig.call({ ...GENERATE, body: '{"text_input":"x","parameters":{"stream":true}}' })
  expect([whole.parts, Buffer.from(whole.response!.body).toString()]).toEqual([[], '{"text_output":"ab"}'])
  const streamed = await rig.call({
    ...GENERATE,
    body: '{"text_input":"\\"stream\\":false", "stream" : true}',
  })
  expect(streamed).toMatchObject({ parts: ['{"text_output":"a"}', '{"text_output":"b"}'], response: END })
  expect(rig.requests.map(({ url }) => url)).toEqual([
    '/v2/models/llm/generate',
    '/v2/models/llm/generate_stream',
  ])
})

test('generate reports errors that Triton sends before, in or instead of the stream', async () => {
  const failing = event('{"error":"gen failed"}')
  const body = '{"text_input":"x","stream":true}'
  rig.answer = (response) => response.writeHead(400, SSE).end(failing)
  expect((await rig.call({ ...GENERATE, body })).problem).toMatchObject({
    code: 'upstream_error',
    status: 400,
    body: Buffer.from('{"error":"gen failed"}'),
    contentType: 'application/json',
  })
  rig.answer = sending(event('{"text_output":"a"}'), failing)
  const late = await rig.call({ ...GENERATE, body })
  expect(late).toMatchObject({
    parts: ['{"text_output":"a"}'],
    problem: { code: 'upstream_error', status: 500 },
  })
  rig.answer = (response) =>
    response
      .writeHead(200, { 'content-type': 'application/json' })
      .end('{"error":"generate expects model to produce exactly 1 response"}')
  expect((await rig.call({ ...GENERATE, body: '{}' })).problem).toMatchObject({
    code: 'upstream_error',
    status: 500,
  })
  rig.answer = breaking(event('{"text_output":"a"}'))
  expect((await rig.call({ ...GENERATE, body })).problem).toMatchObject({ code: 'stream_interrupted' })
  rig.answer = sending(event('{"text_output":"a"}'), 'data: {"text_output"')
  expect((await rig.call({ ...GENERATE, body })).problem).toMatchObject({ code: 'stream_interrupted' })
})

test("infer_stream treats an empty stream as complete, and a response's member `error` as data", async () => {
  const asked = { operation: 'infer_stream', dialect: 'v2' } as const
  rig.answer = sending()
  expect(await rig.call(asked)).toMatchObject({ parts: [], response: END })
  const data = '{"model_name":"m","error":"not at the start","outputs":[]}'
  rig.answer = sending(event(data))
  expect(await rig.call(asked)).toMatchObject({ parts: [data], response: END })
  expect(rig.requests.at(-1)!.url).toBe('/v2/models/llm/infer_stream')
})

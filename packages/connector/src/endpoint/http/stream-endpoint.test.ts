// Tests the parts of streamed answers, and when a stream is complete. The server behaves as real model servers do.
import { Problem } from '@inferwire/protocol'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { RequestDeadline } from '../../admission/index.ts'
import { breaking, chunk, DONE, END, event, sending, SSE, StreamRig } from './testing/stream-rig.ts'

let rig: StreamRig
beforeEach(async () => void (rig = await StreamRig.start(RequestDeadline)))
afterEach(() => rig.stop())

test('each event becomes a part, byte for byte, and the event that ends the stream becomes the response', async () => {
  const odd = '{"choices" : [ ], "n":9007199254740993,"x":"\\u00fc"}'
  rig.answer = sending(': ping\n\n', event(chunk('a')), event(odd), event(chunk('b', 'stop')), DONE)
  const { parts, response } = await rig.call()
  expect(parts).toEqual([chunk('a'), odd, chunk('b', 'stop')])
  expect(response).toMatchObject(END)
  expect(Buffer.from(response!.body).toString()).toBe('[DONE]')
  expect(rig.requests).toEqual([{ url: '/v1/chat/completions', body: '{"stream":true,"messages":[]}' }])
})

test('the token counts of the last chunk are in the response', async () => {
  const usage = JSON.stringify({
    choices: [],
    usage: { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 },
  })
  rig.answer = sending(event(chunk('a', 'stop')), event(usage), DONE)
  const { parts, response } = await rig.call()
  expect(parts.at(-1)).toBe(usage)
  expect(response).toMatchObject({ ...END, usage: { promptTokens: 5, completionTokens: 2 } })
})

test('a whole answer, even to a request for a stream, has no parts, and its token counts are read', async () => {
  const whole =
    '{"choices":[{"message":{"content":"\\"usage\\":{}"}}],"usage":{"prompt_tokens":1,"completion_tokens":2}}'
  rig.answer = (response) => response.writeHead(200, { 'content-type': 'application/json' }).end(whole)
  const { parts, response } = await rig.call()
  expect(parts).toEqual([])
  expect(response).toMatchObject({
    status: 200,
    contentType: 'application/json',
    usage: { promptTokens: 1, completionTokens: 2 },
  })
  expect(Buffer.from(response!.body).toString()).toBe(whole)
})

test('a stream without [DONE] is complete if each of its choices has a finish reason', async () => {
  rig.answer = sending(event(chunk('a')), event(chunk('', 'length')))
  expect((await rig.call()).response).toMatchObject(END)
  const other = JSON.stringify({ choices: [{ index: 1, delta: { content: 'x' } }] })
  rig.answer = sending(event(chunk('a')), event(other), event(chunk('', 'stop')))
  expect((await rig.call()).problem).toMatchObject({ code: 'stream_interrupted' })
})

test('a stream whose connection breaks is complete if each choice already has a finish reason', async () => {
  rig.answer = breaking(event(chunk('a')), event(chunk('', 'stop')))
  expect((await rig.call()).response).toMatchObject(END)
  rig.answer = (response) => {
    response.writeHead(200, SSE)
    response.write(event(chunk('', 'stop')))
  }
  expect((await rig.call({ limits: { idleTimeoutMs: 30 } })).response).toMatchObject(END)
  const cancelled = new Problem('cancelled', 'x')
  const outcome = await rig.call({ onPart: (deadline) => setImmediate(() => deadline.stop(cancelled)) })
  expect(outcome.problem).toMatchObject({ code: 'cancelled' })
})

test('a stream with fewer choices than the request asks for is not complete', async () => {
  const two = { body: '{"n":2,"stream":true,"messages":[]}' }
  rig.answer = sending(event(chunk('a')), event(chunk('', 'stop')))
  expect((await rig.call(two)).problem).toMatchObject({ code: 'stream_interrupted' })
  const other = JSON.stringify({ choices: [{ index: 1, delta: {}, finish_reason: 'stop' }] })
  rig.answer = sending(event(chunk('', 'stop')), event(other))
  expect((await rig.call(two)).response).toMatchObject(END)
})

test('a chunk with NaN or -Infinity, which JSON does not have, becomes a part, byte for byte', async () => {
  const choice = '{"index":0,"delta":{"content":"NaN"},"logprobs":{"content":[{"logprob":-Infinity}]}'
  const parts = [`{"choices":[${choice}}]}`, `{"choices":[${choice},"finish_reason":"stop"}],"x":NaN}`]
  rig.answer = sending(...parts.map(event))
  const outcome = await rig.call({ coalesceMs: 1_000 })
  expect(outcome.parts).toEqual(parts)
  expect(outcome.response).toMatchObject(END)
})

test('the last event counts even if no blank line follows it', async () => {
  rig.answer = sending(event(chunk('a')), 'data: [DONE]')
  expect((await rig.call()).response).toMatchObject(END)
})

test('the number of events is not limited, nor is the size of the whole stream', async () => {
  const events = Array.from({ length: 500 }, (_, index) => event(chunk(`${index}`.repeat(20))))
  rig.answer = sending(...events, DONE)
  const { parts, response } = await rig.call({ eventBytesMax: 200 })
  expect([parts.length, response]).toEqual([500, expect.objectContaining(END)])
})

test('a server that does not end the body after [DONE] does not delay the answer', async () => {
  rig.answer = (response) => {
    response.writeHead(200, SSE)
    response.write(event(chunk('a')) + DONE)
  }
  const { parts, response } = await rig.call()
  expect([parts.length, response]).toEqual([1, expect.objectContaining(END)])
  await rig.closedEarly
  expect(rig.pool.callsHeld).toBe(0)
})

test('a stream is complete even if its connection breaks after [DONE]', async () => {
  rig.answer = breaking(event(chunk('a')), DONE)
  expect(await rig.call()).toMatchObject({ parts: [chunk('a')], response: END })
})

test('events after [DONE] are not parts', async () => {
  rig.answer = sending(event(chunk('a')), DONE, event(chunk('b')), event('x'))
  expect((await rig.call()).parts).toEqual([chunk('a')])
})

test('deltas are joined for the time that the request sets, and nothing is lost when the stream breaks', async () => {
  rig.answer = sending(...['a', 'b', 'c'].map((text) => event(chunk(text))), event(chunk('', 'stop')), DONE)
  const joined = JSON.stringify({
    id: 'c',
    choices: [{ index: 0, delta: { content: 'bc' }, finish_reason: null }],
  })
  expect((await rig.call({ coalesceMs: 5_000 })).parts).toEqual([chunk('a'), joined, chunk('', 'stop')])
  rig.answer = breaking(...['a', 'b', 'c'].map((text) => event(chunk(text))))
  const { parts, problem } = await rig.call({ limits: { coalesceMs: 5_000 } })
  expect([parts, problem?.code]).toEqual([[chunk('a'), joined], 'stream_interrupted'])
})

// Tests streams that break, contain errors, or are too large or invalid.
import type { ServerResponse } from 'node:http'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { RequestDeadline } from '../../admission/index.ts'
import { UpstreamFailure } from '../upstream-failure.ts'
import { breaking, chunk, DONE, event, sending, SSE, StreamRig, type Answer } from './testing/stream-rig.ts'

let rig: StreamRig
beforeEach(async () => void (rig = await StreamRig.start(RequestDeadline)))
afterEach(() => rig.stop())

test.each<[string, Answer]>([
  ['an orderly end without [DONE] or a finish reason', sending(event(chunk('a')), event(chunk('b')))],
  ['a cut connection', breaking(event(chunk('a')), event(chunk('b')))],
  ['an end within an event', sending(event(chunk('a')), event(chunk('b')), 'data: {"choices"')],
])('%s after the first part causes stream_interrupted, which is retryable', async (_, given) => {
  rig.answer = given
  const { parts, problem } = await rig.call()
  expect(parts).toEqual([chunk('a'), chunk('b')])
  expect(problem).toMatchObject({ code: 'stream_interrupted', status: 502, retryable: true })
  // The connector must not retry the call.
  expect(problem).not.toBeInstanceOf(UpstreamFailure)
})

test('a connection that breaks before the first part is a failure that can be retried', async () => {
  rig.answer = breaking(': ping\n\n')
  const { parts, problem } = await rig.call()
  expect([parts, problem!.code]).toEqual([[], 'upstream_unreachable'])
  expect(problem).toBeInstanceOf(UpstreamFailure)
})

test.each<[string, string, number]>([
  ['an OpenAI error with a code as text', '{"error":{"message":"too long","type":"x","code":"400"}}', 400],
  ['an OpenAI error with a code as a number', '{"error":{"message":"too long","code":422}}', 422],
  ['an OpenAI error with a named code', '{"error":{"message":"too long","code":"length"}}', 500],
  ["KServe's error text", '{"error":"too long"}', 500],
  ['an older error of vLLM', '{"object":"error","message":"too long","code":400}', 400],
])('an event with %s ends the stream with that error', async (_, error, status) => {
  for (const before of [[], [chunk('a')]]) {
    rig.answer = sending(...before.map(event), event(error), event(chunk('b')), DONE)
    const { parts, problem } = await rig.call()
    expect(parts).toEqual(before)
    expect(problem).toMatchObject({ code: 'upstream_error', status })
    expect(Buffer.from(problem!.body!).toString()).toBe(error)
  }
})

test('an event named "error" is an error, whatever it contains', async () => {
  rig.answer = sending(event(chunk('a')), `event: error\ndata: {"message":"x"}\n\n`)
  expect((await rig.call()).problem).toMatchObject({ code: 'upstream_error', status: 500 })
})

test('a large event after the last event is ignored, also in several chunks', async () => {
  const after = [`data: ${'x'.repeat(100)}\n`, `data: ${'x'.repeat(290)}`, 'x'.repeat(20)]
  for (const chunks of [after, [after.join('')]]) {
    rig.answer = (response) => {
      response.writeHead(200, SSE)
      for (const each of [event(chunk('a')), DONE, ...chunks]) response.write(each)
      response.end()
    }
    const { parts, problem } = await rig.call({ eventBytesMax: 300 })
    expect([parts, problem]).toEqual([[chunk('a')], undefined])
  }
})

test("errors before the stream have the server's own status and body", async () => {
  const body = '{"error":{"message":"no such thing","type":"BadRequestError","code":400}}'
  rig.answer = (response) => response.writeHead(400, { 'content-type': 'application/json' }).end(body)
  const { problem } = await rig.call()
  expect(problem).toMatchObject({ code: 'upstream_error', status: 400 })
  expect(Buffer.from(problem!.body!).toString()).toBe(body)
})

test.each<[string, Answer]>([
  ['an endless line', (response) => endless(response, 'data: ', 'x'.repeat(1_000))],
  ['an endless comment', (response) => endless(response, event(chunk('a')) + ':', 'x'.repeat(1_000))],
  ['an event without an end', (response) => endless(response, '', `data: ${'x'.repeat(100)}\n`)],
])('%s causes response_too_large, and closes the connection', async (_, given) => {
  rig.answer = given
  expect((await rig.call()).problem).toMatchObject({ code: 'response_too_large' })
  await rig.closedEarly
})

function endless(response: ServerResponse, start: string, more: string): void {
  response.writeHead(200, SSE)
  response.write(start)
  const write = (): void => {
    if (response.destroyed) return
    if (response.write(more)) setImmediate(write)
    else response.once('drain', write)
  }
  write()
}

test('an event that is not JSON makes the response invalid', async () => {
  rig.answer = sending(event(chunk('a')), event('hello'), DONE)
  expect((await rig.call()).problem).toMatchObject({ code: 'upstream_invalid_response' })
})

test('a stream without events is an invalid response', async () => {
  rig.answer = sending()
  expect((await rig.call()).problem).toMatchObject({ code: 'upstream_invalid_response' })
})

test('a compressed stream is rejected at once, although it does not end', async () => {
  rig.answer = (response) => {
    response.writeHead(200, { ...SSE, 'content-encoding': 'gzip' })
    response.write(gzipSync(event(chunk('a'))))
  }
  expect((await rig.call()).problem).toMatchObject({ code: 'upstream_invalid_response' })
  await rig.closedEarly
})

// Tests the SDK's streams against a real Mosquitto. A stand-in for the connector publishes the parts: in order, with
// gaps and repeats, too fast, or not at all.
import { getEventListeners, once } from 'node:events'
import { InferwireError, type InferStream } from '@inferwire/client'
import { describe, expect, test, vi } from 'vitest'
import type { PartRequest, PartResponder } from './fixtures/part-responder.ts'
import { sdkAndBroker } from './fixtures/sdk-and-broker.ts'
import { Proxy } from './rig/proxy.ts'

const REQUEST = { operation: 'generate', body: { text_input: 'x', stream: true } }

const sdk = sdkAndBroker()
const { open, respond, cleanUps } = sdk

// Publishes the parts with these numbers, in this order.
const parts =
  (...numbers: number[]) =>
  async (request: PartRequest): Promise<void> => {
    for (const seq of numbers) await request.part(seq, `"${seq}"`)
  }

// Reads a stream to its end, and returns the values that it yielded and the error that it threw.
async function drain<T>(stream: InferStream<T>): Promise<{ values: T[]; error: InferwireError | undefined }> {
  const values: T[] = []
  try {
    for await (const value of stream) values.push(value)
  } catch (error) {
    expect(error).toBeInstanceOf(InferwireError)
    return { values, error: error as InferwireError }
  }
  return { values, error: undefined }
}

const texts = (outcome: { values: { text(): string }[] }): string[] =>
  outcome.values.map((part) => part.text())

// A cancel message names the request by its topic and by its Correlation Data.
function expectOneCancel({ requests, cancels }: PartResponder): void {
  const [request] = requests
  expect(cancels).toEqual([
    {
      topic: request!.topic.replace('/request/', '/cancel/'),
      correlation: request!.properties.correlationData!.toString('hex'),
    },
  ])
}

describe('a stream', () => {
  test('yields the parts in order, ends after the last message, and then has the token counts', async () => {
    const usage = { 'prompt-tokens': '3', 'completion-tokens': '2', 'server-timing': 'queue;dur=1' }
    const responder = await respond(async (request) => {
      await parts(0, 1, 2)(request)
      await request.final(3, usage)
    })
    const client = await open()
    const stream = client.stream('llm', REQUEST, { coalesceMs: 20.2, priority: 7 })
    expect(stream.usage).toBeUndefined()
    const outcome = await drain(stream)
    expect(texts(outcome)).toEqual(['"0"', '"1"', '"2"'])
    expect(outcome.values[1]).toMatchObject({ seq: 1, contentType: 'application/json' })
    expect(outcome.values[1]!.json()).toBe('1')
    expect(stream.usage).toEqual({ promptTokens: 3, completionTokens: 2 })
    expect(stream.finalReply).toMatchObject({ status: 200, serverTiming: 'queue;dur=1' })
    expect(await stream.next()).toEqual({ done: true, value: undefined })
    const [request] = responder.requests
    expect(request!.topic).toMatch(/^infer\/request\/[^/]+\/llm\/generate\/[0-9a-f]{16}\/[0-9a-f]{32}$/)
    expect(JSON.parse(request!.body.toString())).toEqual(REQUEST.body)
    expect(request!.user).toMatchObject({ 'coalesce-ms': '21', priority: '7' })
    expect(client.stats).toMatchObject({ inFlight: 0, ignoredReplies: 0 })
    expect(responder.cancels).toEqual([])
  })

  test('ends at once if it has no parts, and yields a non-streamed answer as a single part', async () => {
    await respond((request) =>
      request.topic.includes('/whole/') ? request.reply('{"text_output":"x"}') : request.reply('[DONE]'),
    )
    const client = await open()
    expect(await drain(client.stream('empty', REQUEST))).toEqual({ values: [], error: undefined })
    const whole = client.stream('whole', REQUEST)
    expect(texts(await drain(whole))).toEqual(['{"text_output":"x"}'])
    expect(whole.finalReply?.status).toBe(200)
  })

  test('drops repeated parts, and ignores a repeated last message', async () => {
    await respond(async (request) => {
      await parts(0, 0, 1, 0, 1, 2)(request)
      await request.final(3)
      await request.final(3)
    })
    const client = await open()
    const outcome = await drain(client.stream('llm', REQUEST))
    expect(texts(outcome)).toEqual(['"0"', '"1"', '"2"'])
    expect(outcome.error).toBeUndefined()
    await vi.waitFor(() => expect(client.stats.ignoredReplies).toBe(1))
  })

  test.each([
    ['a missing part', [0, 2], undefined, /part 1 is missing, but 2 arrived/],
    ['a missing first part', [1], undefined, /part 0 is missing, but 1 arrived/],
    ['a missing part before the end', [0], 2, /part 1 is missing, but 2 arrived/],
    ['a last message whose number is too low', [0, 1], 1, /it ended at 1, but 2 parts arrived/],
  ])('ends with stream_interrupted after %s, and stops the model', async (_what, numbers, end, message) => {
    const responder = await respond(async (request) => {
      await parts(...numbers)(request)
      if (end !== undefined) await request.final(end)
    })
    const client = await open()
    const { error } = await drain(client.stream('llm', REQUEST))
    expect(error).toMatchObject({ code: 'stream_interrupted', retryable: true, model: 'llm' })
    expect(error!.message).toMatch(message)
    await responder.cancelled(1)
    expectOneCancel(responder)
    expect(client.stats.inFlight).toBe(0)
  })

  test('yields its parts before it throws the error that its last message contains', async () => {
    const body = '{"error":"the model crashed","code":"stream_interrupted","status":502,"retryable":true}'
    const responder = await respond(async (request) => {
      await parts(0, 1)(request)
      await request.final(2, { status: '502', code: 'stream_interrupted' }, body)
    })
    const client = await open()
    const stream = client.stream('llm', REQUEST)
    const outcome = await drain(stream)
    expect(texts(outcome)).toEqual(['"0"', '"1"'])
    expect(outcome.error).toMatchObject({
      code: 'stream_interrupted',
      status: 502,
      message: 'the model crashed',
    })
    expect(stream.finalReply).toBeUndefined()
    // The connector has already ended the request, so there is nothing to cancel.
    expect(responder.cancels).toEqual([])
  })

  test('throws an error reply without a part number, at the beginning or after a restart of the connector', async () => {
    const body = '{"error":"interrupted","code":"stream_interrupted","status":502}'
    await respond(async (request) => {
      if (request.topic.includes('/later/')) await parts(0)(request)
      await request.reply(body, { status: '502', code: 'stream_interrupted' })
    })
    const client = await open()
    for (const model of ['first', 'later']) {
      const { error } = await drain(client.stream(model, REQUEST))
      expect(error).toMatchObject({ code: 'stream_interrupted', message: 'interrupted' })
    }
  })

  test.each([
    ['an invalid part number', { seq: '1e1' }, /a part with the number "1e1"/],
    ['a status, but no part number, after the first part', { status: '200' }, /a message without a number/],
  ])('rejects a message with %s', async (_what, user, message) => {
    const responder = await respond(async (request) => {
      await request.part(0, '"0"')
      await request.reply('"x"', user)
    })
    const { error } = await drain((await open()).stream('llm', REQUEST))
    expect(error).toMatchObject({ code: 'upstream_invalid_response', retryable: false })
    expect(error!.message).toMatch(message)
    await responder.cancelled(1)
    expectOneCancel(responder)
  })

  test('ends with stream_interrupted if the parts of two executions of the request are mixed', async () => {
    const responder = await respond(async (request) => {
      await parts(0, 1)(request)
      await request.part(1, '"another"')
    })
    const client = await open()
    const outcome = await drain(client.stream('llm', REQUEST))
    expect(texts(outcome)).toEqual(['"0"', '"1"'])
    expect(outcome.error).toMatchObject({ code: 'stream_interrupted', retryable: true })
    expect(outcome.error!.message).toMatch(/part 1 arrived twice, with different contents/)
    await responder.cancelled(1)
    expectOneCancel(responder)
  })

  test('receives only its own parts while 64 streams run at once', async () => {
    await respond(async (request) => {
      const { name } = JSON.parse(request.body.toString()) as { name: number }
      for (let seq = 0; seq < 50; seq++) await request.part(seq, `"${name} ${seq}"`)
      await request.final(50)
    })
    const client = await open()
    const streams = Array.from({ length: 64 }, (_, name) =>
      drain(client.stream('llm', { operation: 'generate', body: { name } })),
    )
    for (const [name, outcome] of (await Promise.all(streams)).entries()) {
      expect(texts(outcome)).toEqual(Array.from({ length: 50 }, (_, seq) => `"${name} ${seq}"`))
    }
    expect(client.stats).toMatchObject({ inFlight: 0, ignoredReplies: 0 })
  })

  test('is refused on MQTT 3.1.1, which has no part numbers', async () => {
    const client = await open({ mqttVersion: '3.1.1' })
    await expect(client.stream('llm', REQUEST).next()).rejects.toThrow(/Streams require MQTT 5/)
  })

  test('fails with no_connector if no connector serves the model', async () => {
    const { error } = await drain((await open({ root: 'empty' })).stream('llm', REQUEST))
    expect(error).toMatchObject({ code: 'no_connector' })
  })

  test('makes infer() fail with a hint, and the model is stopped', async () => {
    const responder = await respond(parts(0, 1))
    const failed = (await open()).infer('llm', REQUEST.body, { operation: 'generate' })
    await expect(failed).rejects.toThrow(/streams its answer to this request; use stream\(\)/)
    await responder.cancelled(1)
    expectOneCancel(responder)
  })
})

describe('a stream ends early and publishes one cancel message', () => {
  test('when the application leaves the loop', async () => {
    const responder = await respond(parts(0, 1, 2, 3))
    const client = await open()
    const stream = client.stream('llm', REQUEST)
    for await (const part of stream) if (part.seq === 1) break
    await responder.cancelled(1)
    expect(await stream.next()).toEqual({ done: true, value: undefined })
    await stream.return()
    stream.cancel()
    // The request below arrives after all earlier messages of the client, so every cancel message has arrived.
    await drain(client.stream('llm', REQUEST, { timeoutMs: 100 }))
    expect(responder.cancels[0]!.correlation).toBe(
      responder.requests[0]!.properties.correlationData!.toString('hex'),
    )
    expect(responder.cancels.filter(({ topic }) => topic === responder.cancels[0]!.topic)).toHaveLength(1)
    expect(client.stats.inFlight).toBe(0)
  })

  test('when its signal is aborted, with and without unread parts', async () => {
    const responder = await respond(parts(0, 1))
    const client = await open()
    const abort = new AbortController()
    const stream = client.stream('llm', REQUEST, { signal: abort.signal })
    expect((await stream.next()).value!.seq).toBe(0)
    abort.abort('enough')
    await expect(stream.next()).rejects.toMatchObject({ code: 'cancelled', cause: 'enough' })
    expect(await stream.next()).toEqual({ done: true, value: undefined })
    await responder.cancelled(1)
    expectOneCancel(responder)
    expect(getEventListeners(abort.signal, 'abort')).toEqual([])
    const { error } = await drain(client.stream('llm', REQUEST, { signal: abort.signal }))
    expect(error).toMatchObject({ code: 'cancelled' })
  })

  test('when no part arrives within idleTimeoutMs of the previous part; the first part can take longer', async () => {
    const responder = await respond(async (request) => {
      // Simulates a slow model: the first part takes three times `idleTimeoutMs`.
      await new Promise((resolve) => setTimeout(resolve, 300))
      await parts(0)(request)
    })
    const stream = (await open()).stream('llm', REQUEST, { idleTimeoutMs: 100 })
    const outcome = await drain(stream)
    expect(texts(outcome)).toEqual(['"0"'])
    expect(outcome.error).toMatchObject({ code: 'stream_interrupted' })
    expect(outcome.error!.message).toBe('The stream of model "llm" was silent for 100 ms (idleTimeoutMs).')
    await responder.cancelled(1)
    expectOneCancel(responder)
  })

  test('at its deadline, although parts still arrive', async () => {
    let isLiving = true
    cleanUps.push(async () => void (isLiving = false))
    const responder = await respond(async (request) => {
      for (let seq = 0; isLiving; seq++) await request.part(seq, '"x"')
    })
    const outcome = await drain((await open()).stream('llm', REQUEST, { timeoutMs: 300 }))
    expect(outcome.error).toMatchObject({ code: 'deadline_exceeded' })
    expect(outcome.error!.message).toBe('The stream of model "llm" did not end within 300 ms (timeoutMs).')
    expect(outcome.values.length).toBeGreaterThan(0)
    await responder.cancelled(1)
    expectOneCancel(responder)
  })

  test.each([{ partsMax: 3 }, { bufferBytesMax: 10 }])(
    'when the application reads too slowly for %j',
    async (bounds) => {
      const responder = await respond(parts(0, 1, 2, 3, 4, 5))
      const stream = (await open()).stream('llm', REQUEST, bounds)
      await responder.cancelled(1)
      expectOneCancel(responder)
      const outcome = await drain(stream)
      expect(texts(outcome)).toEqual(['"0"', '"1"', '"2"'])
      expect(outcome.error).toMatchObject({ code: 'overloaded' })
      expect(outcome.error!.message).toMatch(
        /3 parts \(9 bytes\) wait to be read.*Read faster, or raise the limits/,
      )
    },
  )

  test('when the client is closed', async () => {
    const responder = await respond(parts(0))
    const client = await open()
    const stream = client.stream('llm', REQUEST)
    await stream.next()
    await client.close()
    const { error } = await drain(stream)
    expect(error).toMatchObject({ code: 'cancelled' })
    expect(error!.message).toBe('The client was closed before the reply arrived.')
    await responder.cancelled(1)
    expectOneCancel(responder)
  })
})

describe('when the connection is lost in the middle, a stream', () => {
  test('ends with stream_interrupted if the client has no session, and stops the model on the next connection', async () => {
    const responder = await respond(parts(0))
    const proxy = await Proxy.start(sdk.broker.port)
    cleanUps.push(() => proxy.close())
    const client = await open({}, `mqtt://127.0.0.1:${proxy.port}`)
    const stream = client.stream('llm', REQUEST)
    await stream.next()
    proxy.reset()
    const { error } = await drain(stream)
    expect(error).toMatchObject({ code: 'stream_interrupted' })
    expect(error!.message).toMatch(/^The connection was lost during the stream of model "llm"/)
    await responder.cancelled(1)
    expectOneCancel(responder)
  })

  test('is requested again with the same Correlation Data, if no part had arrived', async () => {
    const responder = await respond(async (request) => {
      if (responder.requests.length === 1) return
      await parts(0)(request)
      await request.final(1)
    })
    const proxy = await Proxy.start(sdk.broker.port)
    cleanUps.push(() => proxy.close())
    const client = await open({}, `mqtt://127.0.0.1:${proxy.port}`)
    const stream = client.stream('llm', REQUEST)
    await vi.waitFor(() => expect(responder.requests).toHaveLength(1))
    proxy.reset()
    expect(texts(await drain(stream))).toEqual(['"0"'])
    const ids = responder.requests.map(({ properties }) => properties.correlationData!.toString('hex'))
    expect(ids).toHaveLength(2)
    expect(new Set(ids).size).toBe(1)
  })

  test('continues without a gap if the broker keeps the session', async () => {
    const away = new AbortController()
    const isAway = once(away.signal, 'abort')
    const published = new AbortController()
    const isPublished = once(published.signal, 'abort')
    const responder = await respond(async (request) => {
      await parts(0, 1)(request)
      await isAway
      await parts(2, 3, 4)(request)
      await request.final(5)
      published.abort()
    })
    const proxy = await Proxy.start(sdk.broker.port)
    cleanUps.push(() => proxy.close())
    const client = await open({ sessionExpirySeconds: 60 }, `mqtt://127.0.0.1:${proxy.port}`)
    const stream = client.stream('llm', REQUEST)
    await stream.next()
    await stream.next()
    await proxy.refuse()
    await vi.waitFor(() => expect(client.isConnected).toBe(false))
    away.abort()
    await isPublished
    await proxy.accept()
    expect(texts(await drain(stream))).toEqual(['"2"', '"3"', '"4"'])
    await vi.waitFor(() => expect(client.stats.reconnects).toBe(1))
    expect(responder.requests).toHaveLength(1)
    expect(responder.cancels).toEqual([])
  })
})

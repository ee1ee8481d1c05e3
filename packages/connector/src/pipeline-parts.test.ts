// Tests multi-part answers in the pipeline.
import { Problem } from '@inferwire/protocol'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import type { EndpointRequest, EndpointResponse, PublishResult } from './step.ts'
import { ACKNOWLEDGED, BYTES_IN_FLIGHT_MAX, ok, part, PipelineRig, property } from './testing/pipeline-rig.ts'

let rig: PipelineRig
beforeEach(() => void (rig = new PipelineRig()))

const emitting =
  (...parts: string[]) =>
  (request: EndpointRequest): Promise<EndpointResponse> => {
    for (const body of parts) request.emit!(part(body))
    return Promise.resolve(ok('[DONE]'))
  }

describe('a multi-part answer', () => {
  beforeEach(() => rig.expose({ mayEmit: true }))

  test('is numbered, ends with the response, and settles the request after the last acknowledgement', async () => {
    const acknowledge: ((result: PublishResult) => void)[] = []
    rig.publish = () => new Promise((resolve) => acknowledge.push(resolve))
    rig.call = emitting('1', '2')
    const delivery = rig.delivery()
    rig.pipeline.handle(delivery)
    await expect.poll(() => acknowledge.length).toBe(2)
    acknowledge.shift()!(ACKNOWLEDGED)
    acknowledge.shift()!(ACKNOWLEDGED)
    await expect.poll(() => acknowledge.length).toBe(1)
    expect(delivery.settledAfter).toBeUndefined()
    acknowledge.shift()!(ACKNOWLEDGED)
    await rig.pipeline.idle()
    expect(rig.seen()).toEqual([
      ['1', '0', undefined],
      ['2', '1', undefined],
      ['[DONE]', '2', 'true'],
    ])
    expect([delivery.settledAfter, rig.outcomes(), rig.budget.bytes]).toEqual([3, { ok: 1 }, 0])
  })

  test('without parts is a plain reply', async () => {
    rig.call = emitting()
    await rig.handled(rig.delivery())
    expect(rig.seen()).toEqual([['[DONE]', undefined, undefined]])
  })

  test('without parts is marked as the end of a stream if the endpoint streamed', async () => {
    rig.call = () => Promise.resolve({ ...ok('[DONE]'), endsStream: true })
    await rig.handled(rig.delivery(), rig.delivery())
    expect(rig.seen()).toEqual([
      ['[DONE]', '0', 'true'],
      ['[DONE]', '0', 'true'],
    ])
    await rig.handled(rig.delivery())
    expect(rig.calls).toBe(2)
  })

  test("may take longer than the model's timeout, even for a redelivery that joins it", async () => {
    vi.useFakeTimers()
    let end!: () => void
    rig.call = (request) =>
      new Promise((resolve, reject) => {
        request.deadline.extend!(600_000)
        request.emit!(part('1'))
        end = () => resolve({ ...ok('[DONE]'), endsStream: true })
        request.deadline.waiting = reject
      })
    rig.pipeline.handle(rig.delivery())
    await vi.advanceTimersByTimeAsync(1)
    rig.pipeline.handle(rig.delivery())
    await vi.advanceTimersByTimeAsync(300_000)
    end()
    await vi.advanceTimersByTimeAsync(1)
    vi.useRealTimers()
    await rig.pipeline.idle()
    expect(rig.seen().slice(1)).toEqual([
      ['[DONE]', '1', 'true'],
      ['[DONE]', '1', 'true'],
    ])
    expect(rig.telemetry.figures('iris', 'infer').firstPart.count).toBe(1)
  })

  test('reports its token counts in every reply, and adds them to the figures once', async () => {
    const usage = { promptTokens: 7, completionTokens: 3 }
    rig.call = () => Promise.resolve({ ...ok('{}'), usage })
    await rig.handled(rig.delivery())
    await rig.handled(rig.delivery())
    expect(
      rig.replies.map((reply) => [property(reply, 'prompt-tokens'), property(reply, 'completion-tokens')]),
    ).toEqual([
      ['7', '3'],
      ['7', '3'],
    ])
    // The second reply is the stored answer.
    expect([rig.calls, rig.telemetry.figures('iris', 'infer').tokens]).toEqual([
      1,
      { prompt: 7, completion: 3 },
    ])
  })

  test('ends with a numbered, final error if the call fails', async () => {
    rig.call = (request) => {
      request.emit!(part('1'))
      return Promise.reject(new Problem('stream_interrupted', 'The stream broke.'))
    }
    await rig.handled(rig.delivery())
    expect(rig.replies.map((reply) => [property(reply, 'code'), property(reply, 'seq')])).toEqual([
      [undefined, '0'],
      ['stream_interrupted', '1'],
    ])
    expect(property(rig.replies[1]!, 'final')).toBe('true')
  })

  test('is not stored for repeated requests: the model is called again', async () => {
    rig.call = emitting('1')
    await rig.handled(rig.delivery())
    await rig.handled(rig.delivery())
    expect(rig.calls).toBe(2)
  })

  test('sends only its last message, with its original number, to a repeated request that joined', async () => {
    rig.call = emitting('1', '2')
    await rig.handled(rig.delivery(), rig.delivery())
    expect(rig.seen().slice(2)).toEqual([
      ['[DONE]', '2', 'true'],
      ['[DONE]', '2', 'true'],
    ])
    expect(rig.calls).toBe(1)
  })

  test.each<[string, string, () => unknown]>([
    ['it is cancelled', 'cancelled', () => rig.pipeline.handle(rig.cancelMessage())],
    ["the redelivery's deadline passes", 'deadline_exceeded', () => vi.advanceTimersByTimeAsync(20)],
  ])('ends with a numbered error after a redelivery if %s, and stops the call', async (_, code, end) => {
    vi.useFakeTimers()
    let stopped: Problem | undefined
    rig.call = (request) =>
      new Promise((_resolve, reject) => {
        request.emit!(part('1'))
        request.deadline.waiting = (problem) => {
          stopped = problem
          reject(problem)
        }
      })
    const first = rig.delivery()
    rig.pipeline.handle(first)
    await vi.advanceTimersByTimeAsync(1)
    first.isLost = true
    const userProperties = ['timeout-ms', '20']
    const properties = { correlationData: Buffer.from('c1'), userProperties }
    const redelivery = rig.delivery({ dup: true, properties })
    rig.pipeline.handle(redelivery)
    await vi.advanceTimersByTimeAsync(1)
    await end()
    vi.useRealTimers()
    await rig.pipeline.idle()
    expect(
      rig.replies.map((reply) => [property(reply, 'code'), property(reply, 'seq'), property(reply, 'final')]),
    ).toEqual([
      [undefined, '0', undefined],
      [code, '1', 'true'],
    ])
    expect([stopped?.code, redelivery.settledAfter]).toEqual([code, 2])
  })

  test('does not start again when the request is redelivered', async () => {
    rig.call = (request) =>
      new Promise((_, reject) => {
        request.deadline.waiting = reject
        request.emit!(part('1'))
      })
    await rig.handled(rig.delivery({ dup: true }))
    expect(rig.replies.map((reply) => property(reply, 'code'))).toEqual(['stream_interrupted'])
    // An earlier process published the parts, so their number is unknown.
    expect([property(rig.replies[0]!, 'seq'), property(rig.replies[0]!, 'final')]).toEqual([
      undefined,
      'true',
    ])
  })

  test("is ended for a repeated request by that request's own deadline", async () => {
    let end!: () => void
    rig.call = (request) =>
      new Promise((resolve) => {
        end = () => resolve(ok('[DONE]'))
        request.emit!(part('1'))
      })
    const properties = { correlationData: Buffer.from('c1'), userProperties: ['timeout-ms', '30'] }
    const repeat = rig.delivery({ properties })
    rig.pipeline.handle(rig.delivery())
    rig.pipeline.handle(repeat)
    await expect.poll(() => repeat.settledAfter).toBeDefined()
    const [, timedOut] = rig.replies
    expect(['code', 'seq', 'final'].map((name) => property(timedOut!, name))).toEqual([
      'deadline_exceeded',
      undefined,
      'true',
    ])
    end()
    await rig.pipeline.idle()
  })

  test.each([
    ['too large', { kind: 'too-large', packetBytes: 9, packetBytesMax: 8 } as const, 'response_too_large'],
    ['refused', { kind: 'refused', reasonCode: 0x97 } as const, 'internal'],
  ])('ends with an error if a part is %s, even if the endpoint succeeds', async (_, result, code) => {
    rig.publish = (reply) => Promise.resolve(property(reply, 'seq') === '0' ? result : ACKNOWLEDGED)
    rig.call = emitting('1', '2')
    const delivery = rig.delivery()
    await rig.handled(delivery)
    expect(property(rig.replies.at(-1)!, 'code')).toBe(code)
    expect(property(rig.replies.at(-1)!, 'final')).toBe('true')
    expect([delivery.settledAfter, rig.budget.bytes]).toEqual([rig.replies.length, 0])
  })

  test('is limited by the byte budget if the broker does not acknowledge its parts', async () => {
    const acknowledge: (() => void)[] = []
    rig.publish = () => new Promise((resolve) => acknowledge.push(() => resolve(ACKNOWLEDGED)))
    rig.call = (request) => {
      while (request.deadline.problem === undefined) request.emit!(part('x'.repeat(1_000)))
      return Promise.reject(request.deadline.problem)
    }
    rig.pipeline.handle(rig.delivery())
    await expect.poll(() => acknowledge.length).toBeGreaterThan(10)
    expect(rig.budget.bytes).toBeLessThanOrEqual(BYTES_IN_FLIGHT_MAX)
    rig.publish = () => Promise.resolve(ACKNOWLEDGED)
    for (const each of acknowledge) each()
    await rig.pipeline.idle()
    expect(property(rig.replies.at(-1)!, 'code')).toBe('stream_interrupted')
    expect(rig.budget.bytes).toBe(0)
  })

  test('ends with stream_interrupted at the end of a drain, and its request is settled', async () => {
    rig.expose({ mayEmit: true }, true, 3)
    let whole!: () => void
    let emitLate!: () => void
    const kinds: ((request: EndpointRequest, resolve: (response: EndpointResponse) => void) => void)[] = [
      (request) => request.emit!(part('1')),
      (_, resolve) => (whole = () => resolve(ok('whole'))),
      (request) => (emitLate = () => request.emit!(part('late'))),
    ]
    rig.call = (request) =>
      new Promise((resolve, reject) => {
        request.deadline.waiting = reject
        kinds[rig.calls - 1]!(request, resolve)
      })
    const topics = ['a', 'b', 'c'].map((id) => `infer/request/cam7/iris/infer/${id}`)
    const deliveries = topics.map((topic) => rig.delivery({ topic }))
    for (const delivery of deliveries) rig.pipeline.handle(delivery)
    await expect.poll(() => rig.calls).toBe(3)
    rig.pipeline.stopTaking()
    rig.pipeline.interruptStreams()
    emitLate()
    whole()
    await rig.pipeline.idle()
    const shown = rig.replies.map((reply) => {
      const [code = '-', seq = '-', final = '-'] = ['code', 'seq', 'final'].map((name) =>
        property(reply, name),
      )
      return `${reply.topic.at(-1)}: ${code} ${seq} ${final}`
    })
    expect(shown.toSorted()).toEqual([
      'a: - 0 -',
      'a: stream_interrupted 1 true',
      'b: - - -',
      'c: stream_interrupted - true',
    ])
    expect(deliveries.every(({ settledAfter }) => settledAfter !== undefined)).toBe(true)
  })

  test('ignores a part that the endpoint emits after the end, and logs a fault', async () => {
    let emit!: NonNullable<EndpointRequest['emit']>
    rig.call = (request) => {
      emit = request.emit!
      emit(part('1'))
      return Promise.resolve(ok('[DONE]'))
    }
    await rig.handled(rig.delivery())
    emit(part('2'))
    expect(rig.seen()).toHaveLength(2)
    expect(rig.events()).toContain('fault')
  })
})

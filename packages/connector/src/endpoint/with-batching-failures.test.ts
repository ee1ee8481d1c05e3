// Tests what each request of a shared call receives if the call fails, and how later calls are limited.
import { Problem } from '@inferwire/protocol'
import { describe, expect, test, vi } from 'vitest'
import type { Endpoint } from '../step.ts'
import {
  arrange,
  fakeClock,
  instances,
  outcomeOf,
  settled,
  singleOutcome,
  sizes,
} from './testing/batch-arrangement.ts'
import { answer, requestOf } from './testing/batch-model.ts'
import { refusalProblem } from './refusal/refusal-problem.ts'
import { UpstreamFailure } from './upstream-failure.ts'

fakeClock()

const bodies = (poison: number): string[] =>
  [0, 1, 2, 3, 4, 5, 6, 7].map((value) => instances(value === poison ? 'poison' : String(value)))

describe('a merged call that fails', () => {
  test('because of one invalid request affects only that request', async () => {
    const { model, figures, lines, endpoint, release } = arrange()
    const requests = bodies(5).map((body) => requestOf(body))
    const outcomes = requests.map((request) => outcomeOf(endpoint.call(request)))
    for (let call = 0; call < 8; call += 1) await release()
    expect(await Promise.all(outcomes)).toEqual(requests.map(singleOutcome))
    expect(await outcomes[5]).toBe(500)
    expect(sizes(model)).toEqual([8, 4, 4, 2, 1, 1, 2])
    expect(figures.batchFailovers).toBe(3)
    expect(lines).toEqual([])
  })

  test.each([
    new Problem('upstream_error', 'teapot', { status: 418 }),
    new Problem('upstream_error', 'too many values', { status: 429 }),
    new Problem('bad_payload', 'inputs.0.data.1: invalid'),
  ])(
    'because of one request, with any error from the model (%s), affects only that request',
    async (problem) => {
      const { bind } = arrange()
      const endpoint = bind({
        call: (request) =>
          request.body.includes('poison') ? Promise.reject(problem) : Promise.resolve(answer(request)),
      })
      const outcomes = await Promise.all(
        bodies(5).map((body) => endpoint.call(requestOf(body)).catch((error: unknown) => error)),
      )
      expect(outcomes.map((outcome) => outcome === problem)).toEqual(bodies(5).map((_, index) => index === 5))
    },
  )

  test.each([
    ['web_page', false],
    ['no_route', false],
    ['request_too_large', true],
  ] as const)(
    'because a gateway refused it (%s) is divided only if it is too large',
    async (name, isDivided) => {
      const { bind } = arrange()
      const calls: number[] = []
      const endpoint = bind({
        call: (request) => {
          calls.push((JSON.parse(request.body.toString()) as { instances: unknown[] }).instances.length)
          return Promise.reject(refusalProblem(name, { detail: 'x' }))
        },
      })
      const outcomes = await Promise.all(
        bodies(-1).map((body) => endpoint.call(requestOf(body)).catch((error: unknown) => error)),
      )
      expect(outcomes).toEqual(
        bodies(-1).map(() => expect.objectContaining({ refusal: { name, remedy: expect.any(String) } })),
      )
      expect(calls.length > 1).toBe(isDivided)
    },
  )

  test('because of an invalid request is rare: the next requests of its client get calls of their own', async () => {
    const { model, endpoint, release } = arrange({ sizeMax: 64 })
    const askAll = async (): Promise<void> => {
      const all = Array.from({ length: 64 }, (_, index) =>
        outcomeOf(
          endpoint.call(
            requestOf(instances(index === 20 ? 'poison' : String(index)), { client: `c${index}` }),
          ),
        ),
      )
      for (let call = 0; call < 20; call += 1) await release()
      expect((await Promise.all(all)).filter((outcome) => outcome === 500)).toHaveLength(1)
    }
    await askAll()
    expect(model.calls.length).toBeGreaterThan(10)
    model.calls.length = 0
    for (let round = 0; round < 4; round += 1) await askAll()
    expect(sizes(model).filter((size) => size > 1)).toEqual([63, 63, 63, 63])
    expect(model.calls).toHaveLength(8)
    vi.advanceTimersByTime(5_000)
    model.calls.length = 0
    await askAll()
    expect(sizes(model)[0]).toBe(64)
  })

  test('for every client puts no client under suspicion, because the model itself may be broken', async () => {
    const { model, endpoint, release } = arrange()
    const ask = (value: string): Promise<unknown>[] =>
      bodies(-1).map((_, index) =>
        outcomeOf(endpoint.call(requestOf(instances(value), { client: `c${index}` }))),
      )
    const failed = ask('poison')
    for (let call = 0; call < 20; call += 1) await release()
    await Promise.all(failed)
    model.calls.length = 0
    const answered = ask('good')
    for (let call = 0; call < 20; call += 1) await release()
    await Promise.all(answered)
    expect(sizes(model)).toEqual([8])
  })

  test('for every request needs only a few more calls than unmerged requests would', async () => {
    const { model, endpoint, release } = arrange()
    const outcomes = bodies(0).map(() => outcomeOf(endpoint.call(requestOf(instances('poison')))))
    for (let call = 0; call < 20; call += 1) await release()
    expect(new Set(await Promise.all(outcomes))).toEqual(new Set([500]))
    expect(model.calls.length).toBeLessThan(16)
  })

  test('because of its size reduces the size of later calls for a while, and is logged once', async () => {
    const { bind, figures, lines } = arrange()
    const calls: number[] = []
    const endpoint = bind({
      call: (request) => {
        const rows = (JSON.parse(request.body.toString()) as { instances: unknown[] }).instances.length
        calls.push(rows)
        if (rows <= 2) return Promise.resolve(answer(request))
        return Promise.reject(new Problem('upstream_error', 'batch-size must be <= 2', { status: 400 }))
      },
    })
    const askAll = (): Promise<unknown[]> =>
      Promise.all(bodies(-1).map((body) => outcomeOf(endpoint.call(requestOf(body)))))
    const expected = bodies(-1).map((body) => singleOutcome(requestOf(body)))
    expect(await askAll()).toEqual(expected)
    expect(calls).toEqual([8, 4, 2, 2, 4, 2, 2])
    calls.length = 0
    expect(await askAll()).toEqual(expected)
    expect(calls).toEqual([2, 2, 2, 2])
    expect(lines).toMatchObject([{ event: 'batch_failed', model: 'm', operation: 'predict', rowsMax: 2 }])
    expect(figures.batchFailovers).toBe(3)
    vi.advanceTimersByTime(60_000)
    calls.length = 0
    expect(await askAll()).toEqual(expected)
    expect(calls[0]).toBe(8)
    expect(lines).toHaveLength(1)
  })

  test.each<[string, string]>([
    ['fewer predictions', '{"predictions":[1]}'],
    ['predictions by output name', '{"predictions":{"a":[1,2],"b":[3,4]}}'],
    ['outputs in columns', '{"outputs":[1,2]}'],
    ['another list beside the predictions', '{"predictions":[1,2],"probabilities":[3,4]}'],
    ['no object', '[1,2]'],
    ['no JSON', 'ok'],
  ])(
    'because its answer cannot be divided (%s) is replaced with single calls, and nothing is merged for a while',
    async (_what, body) => {
      const { bind, lines } = arrange()
      const calls: string[] = []
      const endpoint = bind({
        call: (request) => {
          calls.push(request.body.toString())
          return Promise.resolve({ ...answer(request), body: Buffer.from(body) })
        },
      })
      for (let round = 0; round < 2; round += 1) {
        const responses = await Promise.all([1, 2].map((value) => endpoint.call(requestOf(instances(value)))))
        expect(responses.map(({ body }) => Buffer.from(body).toString())).toEqual([body, body])
      }
      expect(calls.slice(1)).toEqual([1, 2, 1, 2].map((value) => instances(value)))
      expect(lines).toMatchObject([{ event: 'batch_failed', rowsMax: 1 }])
    },
  )

  test('with an answer that cannot be divided limits only requests with the same members', async () => {
    const { bind } = arrange()
    const calls: number[] = []
    const endpoint = bind({
      call: (request) => {
        calls.push((JSON.parse(request.body.toString()) as { instances: unknown[] }).instances.length)
        if (!request.body.includes('total')) return Promise.resolve(answer(request))
        return Promise.resolve({ ...answer(request), body: Buffer.from('{"predictions":{"sum":3}}') })
      },
    })
    const ask = (body: string): Promise<unknown> => endpoint.call(requestOf(body))
    await Promise.all([1, 2].map((value) => ask(`{"instances":[${value}],"signature_name":"total"}`)))
    expect(calls.splice(0)).toEqual([2, 1, 1])
    await Promise.all([1, 2, 3, 4].map((value) => ask(instances(value))))
    expect(calls).toEqual([4])
  })

  test('still limits later calls after the model has been described again', async () => {
    const { bind } = arrange()
    let calls = 0
    const inner: Endpoint = {
      call: (request) => {
        calls += 1
        return Promise.resolve({ ...answer(request), body: Buffer.from('{}') })
      },
    }
    for (const expected of [3, 5]) {
      const endpoint = bind(inner)
      await Promise.all([1, 2].map((value) => endpoint.call(requestOf(instances(value)))))
      expect(calls).toBe(expected)
    }
  })

  test.each([
    new Problem('upstream_unreachable', 'gone'),
    new Problem('overloaded', 'full'),
    new Problem('circuit_open', 'open'),
    new UpstreamFailure('rejected', false, 'upstream_error', 'full', { status: 503 }),
  ])(
    'because of a server failure returns the error to every request, without further calls',
    async (problem) => {
      const { bind } = arrange()
      let calls = 0
      const endpoint = bind({
        call: () => {
          calls += 1
          return Promise.reject(problem)
        },
      })
      const results = await Promise.allSettled(
        [1, 2, 3].map((value) => endpoint.call(requestOf(instances(value)))),
      )
      expect(results.map((result) => result.status === 'rejected' && (result.reason as unknown))).toEqual([
        problem,
        problem,
        problem,
      ])
      expect(calls).toBe(1)
    },
  )
})

test('the halves of a failed call do not overtake a request with a higher priority', async () => {
  const { model, endpoint, release } = arrange()
  const low = bodies(5).map((body) => endpoint.call(requestOf(body, { priority: 0 })))
  for (const call of low) call.catch(() => undefined)
  await settled()
  void endpoint.call(requestOf('{"instances":["high"],"other":1}', { priority: 9 }))
  for (let call = 0; call < 9; call += 1) await release()
  expect(sizes(model)).toEqual([8, 1, 4, 4, 2, 1, 1, 2])
  expect(model.calls[1]!.body.toString()).toContain('high')
})

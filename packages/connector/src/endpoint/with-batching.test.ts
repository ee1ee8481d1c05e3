// Tests when requests share a call, and what each of them receives if something goes wrong.
import { batchRulesOf, Problem } from '@inferwire/protocol'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Endpoint, EndpointRequest } from '../step.ts'
import { UpstreamFailure } from './upstream-failure.ts'
import type { ModelBatcher } from './batching/model-batcher.ts'
import { arrange, instances, PREDICT, settled, sizes } from './testing/batch-arrangement.ts'
import { answer, requestOf, TestDeadline } from './testing/batch-model.ts'
import { mayMerge } from './with-batching.ts'

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }))
afterEach(() => void vi.useRealTimers())

const INFER = batchRulesOf('infer', 'v2')!

// The parsed answer, or the status of the problem.
async function outcomeOf(promise: Promise<{ body: Uint8Array }>): Promise<unknown> {
  try {
    return JSON.parse(Buffer.from((await promise).body).toString())
  } catch (error) {
    return (error as Problem).status
  }
}

const singleOutcome = (request: EndpointRequest): unknown => {
  try {
    return JSON.parse(Buffer.from(answer(request).body).toString())
  } catch (error) {
    return (error as Problem).status
  }
}

test('requests that arrive while a call runs share the next call, and each receives its own part', async () => {
  const { model, endpoint, figures, release } = arrange()
  const first = endpoint.call(requestOf(instances([0])))
  await settled()
  const requests = [instances([1], [2]), instances([3]), instances([4])].map((body) => requestOf(body))
  const others = requests.map((request) => outcomeOf(endpoint.call(request)))
  await settled()
  expect(sizes(model)).toEqual([1])
  await release()
  expect(sizes(model)).toEqual([1, 4])
  await release()
  await first
  expect(await Promise.all(others)).toEqual(requests.map(singleOutcome))
  expect(figures.batchSize.count).toBe(2)
  expect(figures.batchSize.sum).toBe(5)
})

test('a request in a call of its own is sent unchanged, and its response is returned unchanged', async () => {
  const { model, endpoint, release } = arrange()
  const request = requestOf(' {"instances" : [1.10, 2e5]} ')
  const response = endpoint.call(request)
  await settled()
  expect(model.calls[0]).toBe(request)
  await release()
  expect(Buffer.from((await response).body).toString()).toBe(Buffer.from(answer(request).body).toString())
})

test('numbers are sent exactly as the clients wrote them', async () => {
  const { model, endpoint } = arrange({ concurrency: 2 })
  void endpoint.call(requestOf('{"instances":[[9007199254740993, 1.10]]}'))
  void endpoint.call(requestOf('{ "instances": [ [1e400,-0.0] ] }'))
  await settled()
  expect(model.calls[0]!.body.toString()).toBe('{"instances":[[9007199254740993, 1.10], [1e400,-0.0] ]}')
})

test.each<[string, Partial<EndpointRequest>, string]>([
  ['a request with another passed header', { headers: ['x-tenant', 'b'] }, instances([1])],
  ['a body that is passed through', { contentType: 'application/octet-stream' }, instances([1])],
  ['a request with other members', {}, '{"instances":[[1]],"signature_name":"s"}'],
  ['rows of another form', {}, instances([1, 2])],
  ['a suspected request', { mustRunAlone: true }, instances([1])],
  ['a request whose answer may be a stream', { emit: () => undefined }, instances([1])],
  ['malformed JSON', {}, '{"instances":[[1],]}'],
  ['a request with both forms of V1', {}, '{"instances":[[1]],"inputs":[[1]]}'],
  ['a request with a repeated member', {}, '{"instances":[[1]],"instances":[[2]]}'],
  ['long JSON', {}, `{"instances":[[1]]${' '.repeat(256 * 1024)}}`],
  ['a request without instances', {}, '{"instances":[]}'],
  ['instances that are not a list', {}, '{"instances":"[1]"}'],
])('never merges %s with another request', async (_what, given, body) => {
  const { model, endpoint } = arrange({ concurrency: 4 })
  void endpoint.call(requestOf(instances([0]), { headers: [] })).catch(() => undefined)
  void endpoint.call(requestOf(body, given)).catch(() => undefined)
  void endpoint.call(requestOf(instances([0]), { headers: [] })).catch(() => undefined)
  await settled()
  expect(model.calls).toHaveLength(2)
  expect(model.calls[1]!.body.toString()).toBe(body)
})

test('a call has at most sizeMax instances and requestBytesMax bytes, and at most concurrency calls run', async () => {
  const { model, batcher, endpoint, release } = arrange({ sizeMax: 4, concurrency: 2, requestBytesMax: 60 })
  const small = [1, 2, 3, 4, 5, 6].map((value) => endpoint.call(requestOf(instances([value]))))
  await settled()
  expect(sizes(model)).toEqual([3, 3])
  expect(batcher.running).toBe(2)
  await release()
  await Promise.all(small)
  const large = [instances([1], [2], [3], [4], [5]), instances([1])].map((body) =>
    endpoint.call(requestOf(body)),
  )
  await settled()
  await release()
  await Promise.all(large)
  expect(sizes(model)).toEqual([3, 3, 5, 1])
  expect(model.openMax).toBe(2)
})

test('opaque bodies are never merged, even if they look like JSON', async () => {
  const { model, endpoint } = arrange({ concurrency: 4 })
  for (const value of [1, 2]) {
    void endpoint.call(requestOf(instances([value]), { contentType: 'application/octet-stream' }))
  }
  await settled()
  expect(sizes(model)).toEqual([1, 1])
})

// Keeps as many requests in flight as the gate may admit, until `count` calls have been made.
async function saturate(count: number, bodyOf: (index: number) => string): Promise<ModelBatcher> {
  const { batcher, model, endpoint, release } = arrange({ sizeMax: 32 })
  let inFlight = 0
  for (let index = 0; model.calls.length < count; index += 1) {
    for (; inFlight < batcher.requestsMax; inFlight += 1) {
      void endpoint.call(requestOf(bodyOf(index))).finally(() => (inFlight -= 1))
    }
    await settled()
    await release()
  }
  return batcher
}

describe('the number of requests that the gate may admit', () => {
  test('is small at first, and grows to two full batches for each call if requests are merged', async () => {
    expect(arrange({ sizeMax: 32 }).batcher.requestsMax).toBe(3)
    expect(arrange({ sizeMax: 32, concurrency: 4 }).batcher.requestsMax).toBe(6)
    const batcher = await saturate(4, () => instances([1]))
    expect(batcher.requestsMax).toBe(2 * 32)
  })

  test('follows the number of requests that fit into a call', async () => {
    const batcher = await saturate(10, () => instances([1], [2], [3], [4], [5], [6], [7], [8]))
    expect(batcher.requestsMax).toBe(2 * 4)
  })

  test('falls if requests can no longer be merged, so that they wait at the gate', async () => {
    const batcher = await saturate(160, (index) => (index < 100 ? instances([1]) : '{"instances":[]}'))
    expect(batcher.requestsMax).toBe(3)
  })

  test('is the number of calls if nothing can be merged', () => {
    const { batcher } = arrange({ concurrency: 4 })
    batcher.isMerging = false
    expect(batcher.requestsMax).toBe(4)
  })
})

test('with delayMaxMs a request waits for others until this time has passed or the call is full', async () => {
  const { model, endpoint } = arrange({ concurrency: 4, sizeMax: 3, delayMaxMs: 20 })
  const ask = (value: number): void =>
    void endpoint.call(requestOf(instances([value]))).catch(() => undefined)
  ask(1)
  await settled()
  vi.advanceTimersByTime(15)
  ask(2)
  await settled()
  expect(model.calls).toHaveLength(0)
  vi.advanceTimersByTime(5)
  expect(sizes(model)).toEqual([2])
  for (const value of [3, 4, 5]) ask(value)
  await settled()
  expect(sizes(model)).toEqual([2, 3])
})

test('reports the wait in the batch separately from the call', async () => {
  const { endpoint, release } = arrange({ delayMaxMs: 20 })
  const request = requestOf(instances([1]))
  const response = endpoint.call(request)
  await settled()
  vi.advanceTimersByTime(20)
  await release()
  await response
  expect(request.batchMs).toBe(20)
})

test('requests with a higher priority are sent in an earlier call', async () => {
  const { model, endpoint, release } = arrange({ sizeMax: 2 })
  const ask = (value: number, priority: number): void =>
    void endpoint.call(requestOf(instances([value], [value]), { priority })).catch(() => undefined)
  ask(0, 4)
  await settled()
  ask(1, 4)
  ask(2, 0)
  ask(3, 9)
  ask(4, 9)
  for (let call = 0; call < 5; call += 1) await release()
  expect(model.calls.map(({ body }) => /\d/.exec(body.toString())![0])).toEqual(['0', '3', '4', '1', '2'])
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

// The clients in the order of their calls.
const clientsOf = ({ calls }: { readonly calls: readonly EndpointRequest[] }): string[] =>
  calls.map(({ client }) => client!)
const arrangeClients = () => {
  const { model, endpoint, release } = arrange()
  const ask = (client: string, priority = 4): void =>
    void endpoint
      .call(requestOf('{"instances":[]}', { client, priority, mustRunAlone: true }))
      .catch(() => undefined)
  return { model, release, ask }
}

describe('requests that cannot be merged', () => {
  test('of several clients take turns', async () => {
    const { model, ask, release } = arrangeClients()
    for (let count = 0; count < 4; count += 1) ask('loud')
    await settled()
    ask('quiet')
    ask('quiet')
    ask('high', 9)
    for (let call = 0; call < 7; call += 1) await release()
    expect(clientsOf(model)).toEqual(['loud', 'high', 'quiet', 'loud', 'quiet', 'loud', 'loud'])
  })

  test('of one client take turns with those of a client that keeps sending new requests', async () => {
    const { model, ask, release } = arrangeClients()
    for (let count = 0; count < 3; count += 1) ask('loud')
    await settled()
    for (let call = 0; call < 4; call += 1) {
      ask('new')
      await release()
    }
    expect(clientsOf(model)).toEqual(['loud', 'new', 'loud', 'new', 'loud'])
  })
})

describe('a member that is cancelled or too late', () => {
  test('leaves the batch before the call', async () => {
    const { model, endpoint, release } = arrange()
    void endpoint.call(requestOf(instances([0])))
    await settled()
    const deadline = new TestDeadline()
    const left = endpoint.call(requestOf(instances([1]), { deadline }))
    const alone = endpoint.call(requestOf(instances([2])))
    deadline.stop()
    await expect(left).rejects.toMatchObject({ code: 'cancelled' })
    await release()
    await release()
    await alone
    expect(model.calls.map(({ body }) => body.toString())).toEqual([instances([0]), instances([2])])
  })

  test('leaves no empty batch behind', async () => {
    const { model, endpoint } = arrange({ delayMaxMs: 20 })
    const deadline = new TestDeadline()
    const request = requestOf(instances([1]), { deadline })
    const left = endpoint.call(request)
    vi.advanceTimersByTime(10)
    deadline.stop()
    await expect(left).rejects.toMatchObject({ code: 'cancelled' })
    expect(request.batchMs).toBe(10)
    vi.advanceTimersByTime(20)
    await settled()
    expect(model.calls).toEqual([])
    expect(vi.getTimerCount()).toBe(0)
  })

  test('is not sent if its deadline has passed, even if the timer of the deadline is late', async () => {
    const { model, endpoint, release } = arrange({ delayMaxMs: 20 })
    const deadlines = [10, 500].map((ms) => new TestDeadline(performance.now() + ms))
    const [late, other] = deadlines.map((deadline, index) =>
      endpoint.call(requestOf(instances([index]), { deadline })),
    )
    vi.advanceTimersByTime(20)
    await settled()
    expect(model.calls.map(({ body }) => body.toString())).toEqual([instances([1])])
    deadlines[0]!.stop(new Problem('deadline_exceeded', 'late'))
    await expect(late).rejects.toMatchObject({ code: 'deadline_exceeded' })
    await release()
    await other
  })

  test('makes no call if the deadlines of all requests have passed', async () => {
    const { model, batcher, endpoint } = arrange({ delayMaxMs: 20 })
    const deadline = new TestDeadline(performance.now() + 10)
    const late = endpoint.call(requestOf(instances([1]), { deadline }))
    vi.advanceTimersByTime(20)
    await settled()
    deadline.stop(new Problem('deadline_exceeded', 'late'))
    await expect(late).rejects.toMatchObject({ code: 'deadline_exceeded' })
    expect(model.calls).toEqual([])
    expect(batcher.running).toBe(0)
  })

  test('is rejected at once during the call, while the other members continue', async () => {
    const { model, endpoint, release } = arrange()
    const deadline = new TestDeadline(100)
    const late = endpoint.call(requestOf(instances([1]), { deadline }))
    const other = requestOf(instances([2]), { deadline: new TestDeadline(500) })
    const answered = outcomeOf(endpoint.call(other))
    await settled()
    expect(model.calls[0]!.deadline.atMs).toBe(500)
    deadline.stop(new Problem('deadline_exceeded', 'late'))
    await expect(late).rejects.toMatchObject({ code: 'deadline_exceeded' })
    await release()
    expect(await answered).toEqual(singleOutcome(other))
    expect(sizes(model)).toEqual([2])
    expect(model.stopped).toBe(0)
  })

  test('is counted until the end of the call, like the merged body, because both stay in memory', async () => {
    const { model, budget, endpoint, release } = arrange()
    const deadline = new TestDeadline()
    const left = endpoint.call(requestOf(instances(1), { deadline }))
    const answered = endpoint.call(requestOf(instances(2)))
    await settled()
    const merged = model.calls[0]!.body.length
    expect(budget.bytes).toBe(merged)
    deadline.stop()
    await expect(left).rejects.toMatchObject({ code: 'cancelled' })
    expect(budget.bytes).toBe(merged + instances(1).length)
    await release()
    await answered
    expect(budget.bytes).toBe(0)
  })

  test('stops the call if it is the last member', async () => {
    const { model, batcher, endpoint } = arrange()
    const deadlines = [new TestDeadline(), new TestDeadline()]
    const calls = deadlines.map((deadline, index) =>
      endpoint.call(requestOf(instances([index]), { deadline })),
    )
    await settled()
    for (const deadline of deadlines) deadline.stop()
    for (const call of calls) await expect(call).rejects.toMatchObject({ code: 'cancelled' })
    await settled()
    expect(model.stopped).toBe(1)
    expect(batcher.running).toBe(0)
  })
})

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

const tensor = (...shape: number[]) => ({ name: 'x', datatype: 'FP32', shape })

test('tensors are merged only if the metadata permits it, or is silent and the operator has set the size', () => {
  const known = { isExplicit: true, isDescribed: true }
  const auto = { ...known, isExplicit: false }
  expect(mayMerge(INFER, { inputs: [tensor(-1, 4)] }, auto)).toBe(true)
  expect(mayMerge(INFER, { inputs: [tensor(-1, 4)], outputs: [tensor(1)] }, known)).toBe(false)
  expect(mayMerge(INFER, { inputs: [tensor(-1, 4), tensor(1, 4)] }, known)).toBe(false)
  expect(mayMerge(INFER, {}, known)).toBe(true)
  expect(mayMerge(INFER, { inputs: [] }, auto)).toBe(false)
  expect(mayMerge(PREDICT, {}, auto)).toBe(true)
})

test('before the server has described the model, only V1 requests are merged', () => {
  const unknown = { isExplicit: true, isDescribed: false }
  expect(mayMerge(INFER, {}, unknown)).toBe(false)
  expect(mayMerge(PREDICT, {}, unknown)).toBe(true)
})

// Tests when requests share a call, and in which order calls are made.
import { batchRulesOf } from '@inferwire/protocol'
import { describe, expect, test, vi } from 'vitest'
import type { EndpointRequest } from '../step.ts'
import type { ModelBatcher } from './batching/model-batcher.ts'
import {
  arrange,
  fakeClock,
  instances,
  outcomeOf,
  PREDICT,
  settled,
  singleOutcome,
  sizes,
} from './testing/batch-arrangement.ts'
import { answer, requestOf } from './testing/batch-model.ts'
import { mayMerge } from './with-batching.ts'

fakeClock()

const INFER = batchRulesOf('infer', 'v2')!

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

  test('falls if requests can no longer be merged; the others then wait at the gate', async () => {
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

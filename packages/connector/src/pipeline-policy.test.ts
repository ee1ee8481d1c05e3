// Tests how the pipeline applies the operations, sizes and rates of the policy.
import { beforeEach, expect, test } from 'vitest'
import { PipelineRig, property } from './testing/pipeline-rig.ts'

let rig: PipelineRig
beforeEach(() => void (rig = new PipelineRig()))

const codes = (): (string | undefined)[] => rig.replies.map((reply) => property(reply, 'code'))
const request = (id: string, parts: Parameters<PipelineRig['delivery']>[0] = {}) =>
  rig.delivery({ topic: `infer/request/cam7/iris/infer/${id}`, ...parts })
const bodyOf = (bytes: number): Buffer => Buffer.from(`{${' '.repeat(bytes - 2)}}`)
const sized = (bytes: number) =>
  request(String(bytes), { payload: bodyOf(bytes), payloadBytes: bytes } as never)
const everyone = { clients: ['*'], models: ['*'] }

test('a forbidden operation is answered like an operation that the model does not offer', async () => {
  rig.policy.update([{ ...everyone, operations: ['ready'] }])
  const topics = [
    'infer/request/cam7/iris/infer',
    'infer/request/cam7/iris',
    'infer/request/cam7/iris/explain',
  ]
  await rig.handled(...topics.map((topic) => rig.delivery({ topic })))
  await rig.handled(rig.delivery({ topic: 'infer/request/cam7/iris/ready', payload: Buffer.alloc(0) }))
  expect(codes()).toEqual([...topics.map(() => 'operation_not_supported'), undefined])
  expect(rig.calls).toBe(1)
  rig.policy.update([{ ...everyone, operations: ['ready'] }], true)
  await rig.handled(rig.delivery())
  expect(codes().at(-1)).toBe('forbidden_model')
})

test('a body above the limit of the matching rules is rejected before it is read', async () => {
  rig.policy.update([{ ...everyone, requestBytesMax: 20 }])
  await rig.handled(sized(20))
  await rig.handled(sized(21))
  expect(codes()).toEqual([undefined, 'payload_too_large'])
  expect(JSON.parse(Buffer.from(rig.replies[1]!.payload).toString())).toMatchObject({
    error: 'The body is 21 bytes long; this client may send at most 20 to model "iris".',
  })
  expect(rig.calls).toBe(1)
})

test('a request above the rate is answered overloaded with retry_after_ms, without a call', async () => {
  rig.policy.update([{ ...everyone, rate: { requestsPerSecond: 0.001, burst: 2 } }])
  for (const id of ['1', '2', '3']) await rig.handled(request(id))
  expect(codes()).toEqual([undefined, undefined, 'overloaded'])
  const body = JSON.parse(Buffer.from(rig.replies[2]!.payload).toString()) as { retry_after_ms: number }
  expect(body.retry_after_ms).toBeGreaterThan(900_000)
  expect(rig.calls).toBe(2)
  // Another client has its own rate.
  await rig.handled(request('1', { topic: 'infer/request/cam8/iris/infer/1' }))
  expect(codes().at(-1)).toBeUndefined()
})

test('a redelivered request does not count against the rate, because it was counted before', async () => {
  rig.policy.update([{ ...everyone, rate: { requestsPerSecond: 0.001, burst: 1 } }])
  for (const id of ['1', '2', '3']) await rig.handled(request(id, { dup: id !== '1' }))
  expect(codes()).toEqual([undefined, undefined, undefined])
  await rig.handled(request('4', { dup: true, qos: 0 }))
  expect(codes().at(-1)).toBe('overloaded')
})

test('a reload that forbids a model neither stops a running request nor keeps its client from cancelling it', async () => {
  rig.call = (call) => new Promise((_, reject) => (call.deadline.waiting = reject))
  rig.pipeline.handle(rig.delivery({ topic: 'infer/request/cam7/iris/infer/1' }))
  await expect.poll(() => rig.calls).toBe(1)
  rig.policy.update([])
  expect(rig.replies).toEqual([])
  await rig.handled(rig.delivery({ topic: 'infer/cancel/cam7/iris/infer/1', properties: {} }))
  expect(codes()).toEqual(['cancelled'])
})

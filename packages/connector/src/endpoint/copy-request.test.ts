// Tests that a copy of a request has all fields of an endpoint's request, and no others.
import { expect, test } from 'vitest'
import type { EndpointRequest } from '../step.ts'
import { copyRequest } from './copy-request.ts'

const request: Required<EndpointRequest> = {
  body: Buffer.from('{}'),
  contentType: 'application/json',
  inferenceHeaderContentLength: '2',
  headers: ['x-a', '1'],
  deadline: { atMs: 1, problem: undefined, waiting: undefined },
  emit: () => {},
  client: 'cam7',
  mustRunAlone: true,
  priority: 9,
  batchMs: 3,
  coalesceMs: 20,
  modelPlace: { start: 1, end: 1, isEmpty: true },
}

test('a copy has every field of the request, with the given changes', () => {
  const body = Buffer.from('[]')
  expect(copyRequest(request, {})).toEqual(request)
  expect(copyRequest(request, { body })).toEqual({ ...request, body })
})

test('a copy does not have the links of the queue that the request was in', () => {
  const queued = { ...request, next: { body: Buffer.alloc(10) } }
  expect(copyRequest(queued, {})).not.toHaveProperty('next')
})

// Opens a gRPC upstream for tests, and builds its requests.
import { Problem, protocolOf } from '@inferwire/protocol'
import type { Deadline, EndpointRequest, Upstream } from '../../../step.ts'
import { openUpstream } from '../../open-upstream.ts'
import type { UpstreamOptions } from '../../upstream-options.ts'

/** Opens the client of the model `iris`. */
export function openTestUpstream(url: string, options: Partial<UpstreamOptions> = {}): Upstream {
  return openUpstream({
    url,
    ...protocolOf('grpc-v2'),
    host: undefined,
    tls: {},
    credential: { headers: () => [] },
    model: 'iris',
    versions: [],
    callsMax: 10,
    responseBytesMax: 1_000_000,
    errorText: 'first-line',
    stream: { idleTimeoutMs: 60_000, timeoutMs: 60_000, coalesceMs: 0 },
    ...options,
  })
}

/** A deadline that the test ends. */
export interface TestDeadline extends Deadline {
  pass(problem?: Problem): void
}

/** Returns a deadline that passes after `ms` milliseconds. */
export function deadlineIn(ms = 60_000): TestDeadline {
  const deadline = {
    atMs: performance.now() + ms,
    problem: undefined as Problem | undefined,
    waiting: undefined as Deadline['waiting'],
    pass(problem = new Problem('deadline_exceeded', 'The deadline passed.')) {
      deadline.problem = problem
      const { waiting } = deadline
      deadline.waiting = undefined
      waiting?.(problem)
    },
  }
  return deadline
}

/** Returns a request with a JSON body. */
export function jsonRequest(body: unknown, request: Partial<EndpointRequest> = {}): EndpointRequest {
  return {
    body: Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)),
    contentType: 'application/json',
    inferenceHeaderContentLength: undefined,
    headers: [],
    deadline: deadlineIn(),
    emit: undefined,
    ...request,
  }
}

/** Returns a request with a JSON part and binary tensors. */
export function binaryRequest(
  json: unknown,
  tensors: Uint8Array,
  request: Partial<EndpointRequest> = {},
): EndpointRequest {
  const head = Buffer.from(JSON.stringify(json))
  return jsonRequest('', {
    body: Buffer.concat([head, tensors]),
    contentType: 'application/octet-stream',
    inferenceHeaderContentLength: String(head.length),
    ...request,
  })
}

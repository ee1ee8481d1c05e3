// An in-memory model that answers V1 and V2 bodies and records its calls. It has its own parsers for the bodies.
import { BodyError, Problem, rawOf, readV2Request, type Tensor, type V2Request } from '@inferwire/protocol'
import type { Deadline, Endpoint, EndpointRequest, EndpointResponse } from '../../step.ts'

/** A deadline that a test can stop. */
export class TestDeadline implements Deadline {
  readonly atMs: number
  problem: Problem | undefined
  waiting: ((problem: Problem) => void) | undefined

  constructor(atMs = Infinity) {
    this.atMs = atMs
  }

  stop(problem = new Problem('cancelled', 'The client cancelled the request.')): void {
    this.problem = problem
    const { waiting } = this
    this.waiting = undefined
    waiting?.(problem)
  }
}

/** Returns a JSON request. */
export function requestOf(body: string | Uint8Array, given: Partial<EndpointRequest> = {}): EndpointRequest {
  return {
    body: typeof body === 'string' ? Buffer.from(body) : Buffer.from(body),
    contentType: 'application/json',
    inferenceHeaderContentLength: undefined,
    headers: [],
    deadline: new TestDeadline(),
    emit: undefined,
    ...given,
  }
}

const TENSORS = {
  name: 'm',
  inputs: [
    { name: 'x', datatype: 'FP32' as const },
    { name: 'words', datatype: 'BYTES' as const },
  ],
  outputs: [{ name: 'y' }, { name: 'words' }],
}

/**
 * Answers after `wait`, unless the deadline stops the call. Like a real model, it fails for input of the wrong shape.
 */
export class BatchModel implements Endpoint {
  /** The requests in order of arrival. */
  readonly calls: EndpointRequest[] = []
  /** Number of calls that were stopped by their deadline. */
  stopped = 0
  #open = 0
  /** Largest number of concurrent calls. */
  openMax = 0
  readonly #wait: (request: EndpointRequest) => Promise<void>

  constructor(wait: (request: EndpointRequest) => Promise<void> = () => Promise.resolve()) {
    this.#wait = wait
  }

  call(request: EndpointRequest): Promise<EndpointResponse> {
    this.calls.push(request)
    this.#open += 1
    this.openMax = Math.max(this.openMax, this.#open)
    return new Promise<EndpointResponse>((resolve, reject) => {
      if (request.deadline.problem !== undefined) return reject(request.deadline.problem)
      request.deadline.waiting = (problem) => {
        this.stopped += 1
        reject(problem)
      }
      void this.#wait(request).then(() => {
        request.deadline.waiting = undefined
        try {
          resolve(answer(request))
        } catch (error) {
          reject(error)
        }
      })
    }).finally(() => {
      this.#open -= 1
    })
  }
}

/** Returns the model's answer. @throws Problem `upstream_error` */
export function answer(request: EndpointRequest): EndpointResponse {
  return request.body.includes('"instances"') ? predict(request) : infer(request)
}

function failed(status: number, error: string): Problem {
  return new Problem('upstream_error', error, { status, body: Buffer.from(JSON.stringify({ error })) })
}

function jsonResponse(value: unknown): EndpointResponse {
  return {
    status: 200,
    body: Buffer.from(JSON.stringify(value)),
    contentType: 'application/json',
    inferenceHeaderContentLength: undefined,
  }
}

// The prediction repeats all members except `instances`, so that tests notice if requests with different members
// were merged.
function predict({ body, headers }: EndpointRequest): EndpointResponse {
  let request: Record<string, unknown>
  try {
    request = JSON.parse(body.toString()) as Record<string, unknown>
  } catch {
    throw failed(400, 'not JSON')
  }
  const { instances, ...others } = request
  if (!Array.isArray(instances)) throw failed(400, 'Expected "instances" to be a list')
  if (instances.includes('poison')) throw failed(500, 'ValueError : poison')
  const lengths = new Set(instances.map((item) => (Array.isArray(item) ? item.length : -1)))
  if (lengths.size > 1) throw failed(500, 'ValueError : inhomogeneous shape')
  return jsonResponse({
    model: 'm',
    predictions: instances.map((item: unknown) => ({ item, others, headers })),
  })
}

function infer(request: EndpointRequest): EndpointResponse {
  const { inferenceHeaderContentLength: length } = request
  let read: V2Request
  try {
    read = readV2Request(TENSORS, request.body, length === undefined ? undefined : Number(length))
  } catch (error) {
    if (error instanceof BodyError) throw failed(error.code === 'invalid_value' ? 500 : 422, error.message)
    throw error
  }
  const [x, words] = read.inputs as [Tensor, Tensor]
  const data = Float32Array.from(x.data as Float32Array, (value) => value * 2)
  if (data.includes(1332)) throw failed(500, 'ValueError : poison')
  const [{ isBinary }] = read.outputs as [V2Request['outputs'][number]]
  const outputs = [{ ...x, name: 'y', data }, words]
  const binary = isBinary ? outputs.map(({ data }) => rawOf(data)) : []
  const json = Buffer.from(
    JSON.stringify({
      model_name: 'm',
      ...(read.id === undefined ? {} : { id: read.id }),
      outputs: outputs.map(({ name, datatype, shape, data }, index) => ({
        name,
        datatype,
        shape,
        ...(isBinary
          ? { parameters: { binary_data_size: binary[index]?.length } }
          : { data: Array.from(data as Iterable<unknown>) }),
      })),
    }),
  )
  return {
    status: 200,
    body: Buffer.concat([json, ...binary]),
    contentType: binary.length === 0 ? 'application/json' : 'application/octet-stream',
    inferenceHeaderContentLength: binary.length === 0 ? undefined : String(json.length),
  }
}

// The request of a merged call, the parts of its response, and the errors after which the call is divided.
import { Problem, type CarriedBody } from '@inferwire/protocol'
import type { EndpointRequest, EndpointResponse } from '../../step.ts'
import { UpstreamFailure } from '../upstream-failure.ts'
import type { SharedDeadline } from './batch.ts'
import { jsonLengthOf } from './batched-operation.ts'

/** Returns a request with the merged body. Everything else that is sent is equal in all merged requests. */
export function mergedRequest(
  merged: CarriedBody,
  first: EndpointRequest,
  deadline: SharedDeadline,
): EndpointRequest {
  const { contentType, headers } = first
  return {
    body: asBuffer(merged.body),
    contentType,
    inferenceHeaderContentLength: lengthText(merged.jsonLength),
    headers,
    deadline,
    emit: undefined,
  }
}

/** Returns the body of a response, with the length of its JSON, in the form in which a dialect divides bodies. */
export function carriedOf(response: EndpointResponse): CarriedBody {
  return { body: response.body, jsonLength: jsonLengthOf(response) }
}

/** Returns one member's part of a response. */
export function partOf({ status, contentType }: EndpointResponse, part: CarriedBody): EndpointResponse {
  const inferenceHeaderContentLength = lengthText(part.jsonLength)
  return { status, body: asBuffer(part.body), contentType, inferenceHeaderContentLength }
}

function lengthText(jsonLength: number | undefined): string | undefined {
  return jsonLength === undefined ? undefined : String(jsonLength)
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

// Errors that may concern one of the requests, or the size of the call. Other errors concern the model server, and would
// be the same for every request.
const DIVISIBLE_CODES: ReadonlySet<string> = new Set([
  'upstream_error',
  'response_too_large',
  'upstream_invalid_response',
  // Over gRPC, the connector itself reads the body.
  'bad_payload',
])

/** Whether the members of a call that failed with this error may succeed in smaller calls. */
export function isDivisible(error: unknown): boolean {
  if (!(error instanceof Problem) || error instanceof UpstreamFailure) return false
  // A gateway does not read the requests; it refuses all of them, or a call that is too large.
  if (error.refusal !== undefined) return error.refusal.name === 'request_too_large'
  return DIVISIBLE_CODES.has(error.code)
}

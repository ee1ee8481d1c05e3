// Copies a request for the next endpoint, with another body or another receiver for the parts of a stream.
import type { EndpointRequest } from '../step.ts'

/**
 * Returns a copy with the fields of an `EndpointRequest` only. The pipeline's object has further fields, such as the
 * links of its queue, through which a copy would keep the bodies of other requests in memory.
 */
export function copyRequest(
  request: EndpointRequest,
  changes: Partial<Pick<EndpointRequest, 'body' | 'emit'>>,
): EndpointRequest {
  const { body, contentType, inferenceHeaderContentLength, headers, deadline, emit } = request
  const { client, mustRunAlone, priority, batchMs, coalesceMs, modelPlace } = request
  return {
    body,
    contentType,
    inferenceHeaderContentLength,
    headers,
    deadline,
    emit,
    ...(client === undefined ? {} : { client }),
    ...(mustRunAlone === undefined ? {} : { mustRunAlone }),
    ...(priority === undefined ? {} : { priority }),
    batchMs,
    coalesceMs,
    modelPlace,
    ...changes,
  }
}

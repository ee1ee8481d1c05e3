// Wraps an endpoint with the circuit breaker of its model server.
import type { Endpoint, EndpointRequest, EndpointResponse, ReplyPart } from '../step.ts'
import type { Circuit } from './circuit.ts'

/** Calls `inner` while the circuit is closed, and throws `circuit_open` at once while it is open. */
export function withBreaker(inner: Endpoint, circuit: Circuit): Endpoint {
  // One function serves all calls, because it does not depend on the request.
  const answered = (response: EndpointResponse): EndpointResponse => {
    circuit.answered(performance.now())
    return response
  }
  return {
    refusal: () => circuit.refusal(performance.now()),
    call(request) {
      const startedAtMs = performance.now()
      if (circuit.isOpen) return probe(inner, circuit, request, startedAtMs)
      const { epoch } = circuit
      circuit.called(startedAtMs)
      if (request.emit !== undefined) return callEmitting(inner, circuit, request, startedAtMs)
      return inner.call(request).then(answered, (error: unknown) => {
        circuit.failed(error, startedAtMs, epoch)
        throw error
      })
    },
  }
}

// The first part proves that the server answers. If the stream breaks later, this is not a failure of the server,
// because a client's deadline may cut off any stream.
async function callEmitting(
  inner: Endpoint,
  circuit: Circuit,
  request: EndpointRequest,
  startedAtMs: number,
): Promise<EndpointResponse> {
  const { epoch } = circuit
  let hasAnswered = false
  const emit = (part: ReplyPart): void => {
    if (!hasAnswered) circuit.answered(performance.now())
    hasAnswered = true
    request.emit?.(part)
  }
  try {
    const response = await inner.call({ ...request, emit })
    circuit.answered(performance.now())
    return response
  } catch (error) {
    if (!hasAnswered) circuit.failed(error, startedAtMs, epoch)
    throw error
  }
}

async function probe(
  inner: Endpoint,
  circuit: Circuit,
  request: EndpointRequest,
  startedAtMs: number,
): Promise<EndpointResponse> {
  circuit.beginProbe(startedAtMs)
  const { epoch } = circuit
  try {
    const response = await inner.call(request)
    circuit.endProbe(undefined, startedAtMs, epoch)
    return response
  } catch (error) {
    circuit.endProbe(error, startedAtMs, epoch)
    throw error
  }
}

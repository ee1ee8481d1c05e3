// Wraps an endpoint with the circuit breaker of its model server.
import type { Endpoint, EndpointRequest, EndpointResponse } from '../step.ts'
import type { Circuit } from './circuit.ts'
import { copyRequest } from './copy-request.ts'

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

// The first part proves that the server answers. A stream that breaks later does not count as a failure
// of the server, because a client's deadline may cut off any stream.
async function callEmitting(
  inner: Endpoint,
  circuit: Circuit,
  request: EndpointRequest,
  startedAtMs: number,
): Promise<EndpointResponse> {
  const { epoch } = circuit
  const watch = new FirstPart(request, () => circuit.answered(performance.now()))
  try {
    const response = await inner.call(watch.request)
    if (watch.hasCome) circuit.alive(performance.now())
    else circuit.answered(performance.now())
    return response
  } catch (error) {
    if (!watch.hasCome) circuit.failed(error, startedAtMs, epoch)
    throw error
  }
}

// The first part of a stream also ends a probe: the other requests do not wait for the end of the stream.
async function probe(
  inner: Endpoint,
  circuit: Circuit,
  request: EndpointRequest,
  startedAtMs: number,
): Promise<EndpointResponse> {
  circuit.beginProbe(startedAtMs)
  const { epoch } = circuit
  const watch = new FirstPart(request, () => circuit.endProbe(undefined, startedAtMs, epoch))
  try {
    const response = await inner.call(watch.request)
    if (!watch.hasCome) circuit.endProbe(undefined, startedAtMs, epoch)
    return response
  } catch (error) {
    if (!watch.hasCome) circuit.endProbe(error, startedAtMs, epoch)
    throw error
  }
}

/** Watches for the first part of an answer. */
class FirstPart {
  readonly request: EndpointRequest
  hasCome = false

  constructor(request: EndpointRequest, came: () => void) {
    const { emit } = request
    if (emit === undefined) {
      this.request = request
      return
    }
    this.request = copyRequest(request, {
      emit: (part) => {
        if (!this.hasCome) came()
        this.hasCome = true
        emit(part)
      },
    })
  }
}

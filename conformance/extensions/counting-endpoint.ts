// An example of an endpoint with multi-part answers: it counts to the number in the body and ends with `[DONE]`.
import { Problem } from '@inferwire/protocol'
import type { Endpoint, EndpointRequest, EndpointResponse } from '../../packages/connector/src/step.ts'

interface CountingBody {
  readonly to: number
  /** Size of each part in bytes. */
  readonly bytes?: number
  /** Makes the endpoint throw instead of ending the answer. */
  readonly breaks?: boolean
  /** Makes the endpoint emit one more part after the end. */
  readonly goesOn?: boolean
}

/** Emits the numbers from 1 to `to`, each as one part. */
export class CountingEndpoint implements Endpoint {
  async call({ body, emit, deadline }: EndpointRequest): Promise<EndpointResponse> {
    const { to, bytes = 0, breaks, goesOn } = JSON.parse(body.toString()) as CountingBody
    for (let number = 1; number <= to; number++) {
      if (deadline.problem !== undefined) throw deadline.problem
      emit!(partOf(String(number).padEnd(bytes, ' ')))
      // Each part is emitted in its own turn of the event loop, as if it came from a socket.
      await new Promise((resolve) => setImmediate(resolve))
    }
    if (breaks === true) throw new Problem('stream_interrupted', 'The stream broke.')
    if (goesOn === true) setImmediate(() => emit!(partOf('late')))
    return { status: 200, ...partOf('[DONE]'), inferenceHeaderContentLength: undefined }
  }
}

function partOf(text: string): { readonly body: Buffer; readonly contentType: string } {
  return { body: Buffer.from(text), contentType: 'text/plain' }
}

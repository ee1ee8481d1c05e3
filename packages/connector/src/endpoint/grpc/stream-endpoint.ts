// The operation `infer_stream` over gRPC: ModelStreamInfer, with one request and any number of answers.
import { DIALECTS, Problem } from '@inferwire/protocol'
import type { Endpoint, EndpointRequest, EndpointResponse } from '../../step.ts'
import { endOfStream, streamInterrupted } from '../stream-end.ts'
import { StreamClock } from '../stream-clock.ts'
import { UpstreamFailure } from '../upstream-failure.ts'
import { modelError } from '../http/model-error.ts'
import { JSON_TYPE } from '../http/content-type.ts'
import { IncompleteResponse } from './call-problems.ts'
import { addressOf, callTarget, decoded, type GrpcTarget } from './grpc-target.ts'
import {
  decodeResponse,
  decodeStreamResponse,
  hasFieldAbove,
  type DecodedResponse,
} from './decode-response.ts'
import { readRequest, writeResponse, type AskInputs } from './message-body.ts'
import { toWireRequest, type WireModel } from './to-wire.ts'
import { writeRequestFrame } from './write-frame.ts'

const METHOD = DIALECTS.v2.grpcMethods.infer_stream

/** Calls ModelStreamInfer, and emits a V2 JSON body for each answer. */
export class StreamEndpoint implements Endpoint {
  readonly #target: GrpcTarget
  readonly #model: WireModel
  readonly #askInputs: AskInputs

  constructor(target: GrpcTarget, model: WireModel, askInputs: AskInputs) {
    this.#target = target
    this.#model = model
    this.#askInputs = askInputs
  }

  async call(request: EndpointRequest): Promise<EndpointResponse> {
    const message = await readRequest(request, this.#askInputs)
    // A part has no length header, so it is always JSON.
    const asJson = {
      ...message,
      isBinary: false,
      outputs: message.outputs.map((output) => ({ ...output, isBinary: false })),
    }
    let emitted = 0
    const { deadline } = request
    // When the clock runs out, ends the call in the same way as an expired deadline.
    const clock = new StreamClock(this.#target.stream, deadline, (problem) => deadline.waiting?.(problem))
    try {
      await callTarget(this.#target, {
        method: METHOD,
        frame: writeRequestFrame(toWireRequest(message, this.#model)),
        deadline,
        headers: request.headers,
        runsModel: true,
        sendsTimeout: false,
        onMessage: (encoded) => {
          const response = this.#responseOf(encoded)
          if (response === undefined) return
          const { body, contentType } = writeResponse(response, asJson, this.#target, METHOD)
          emitted += 1
          clock.part()
          request.emit?.({ body, contentType })
        },
      })
    } catch (error) {
      if (emitted === 0 || !(error instanceof UpstreamFailure || error instanceof IncompleteResponse))
        throw error
      throw streamInterrupted("The model server's stream was interrupted.", error.message, error)
    } finally {
      clock.end()
    }
    return endOfStream(200)
  }

  // MLServer sends ModelInferResponse; Triton wraps it in ModelStreamInferResponse. The wrapper has only the fields 1
  // and 2; an answer of MLServer always has outputs (5) or at least an id (3).
  #responseOf(encoded: Buffer): DecodedResponse | undefined {
    const decode = <Message>(read: (message: Buffer) => Message): Message =>
      decoded(this.#target, METHOD, { decode: read }, encoded)
    if (decode((message) => hasFieldAbove(2, message))) return decode(decodeResponse)
    const wrapper = decode(decodeStreamResponse)
    if (wrapper.error_message !== '') throw this.#errorOf(wrapper.error_message)
    const response = wrapper.infer_response
    // Triton's empty final response only marks the end.
    return response?.outputs.length === 0 ? undefined : response
  }

  // Triton sends errors of the model in a message, although the status of the call is OK.
  #errorOf(text: string): Problem {
    return modelError({
      status: 500,
      body: Buffer.from(JSON.stringify({ error: text })),
      contentType: JSON_TYPE,
      retryAfterMs: undefined,
      exchange: `${addressOf(this.#target, METHOD)}: error_message`,
      isReadiness: false,
      errorText: this.#target.errorText,
    })
  }
}

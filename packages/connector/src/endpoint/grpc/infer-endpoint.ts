// The operation `infer` over gRPC: ModelInfer.
import { DIALECTS } from '@inferwire/protocol'
import type { Endpoint, EndpointRequest, EndpointResponse } from '../../step.ts'
import { callForOne, type GrpcTarget } from './grpc-target.ts'
import { decodeResponse } from './decode-response.ts'
import { readRequest, writeResponse, type AskInputs } from './message-body.ts'
import { toWireRequest, type WireModel } from './to-wire.ts'
import { writeRequestFrame } from './write-frame.ts'

const METHOD = DIALECTS.v2.grpcMethods.infer

/** Calls ModelInfer. Requests and answers are V2 bodies, as over HTTP. */
export class InferEndpoint implements Endpoint {
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
    let isBodySent = false
    const response = await callForOne(
      this.#target,
      {
        method: METHOD,
        frame: writeRequestFrame(toWireRequest(message, this.#model)),
        deadline: request.deadline,
        headers: request.headers,
        runsModel: true,
        onSent: () => (isBodySent = true),
      },
      { decode: decodeResponse },
    )
    return { status: 200, ...writeResponse(response, message, this.#target, METHOD), isBodySent }
  }
}

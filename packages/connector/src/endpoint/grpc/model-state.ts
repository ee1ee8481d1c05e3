// The operations `metadata` and `ready` over gRPC, with the bodies of the HTTP servers.
import { DIALECTS, type DeclaredInput } from '@inferwire/protocol'
import type { Endpoint, EndpointRequest, EndpointResponse } from '../../step.ts'
import { JSON_TYPE } from '../http/content-type.ts'
import { modelError } from '../http/model-error.ts'
import { tooLarge } from './call-problems.ts'
import { decodeMetadata, type DecodedMetadata, type DecodedTensor } from './decode-response.ts'
import { addressOf, callForOne, type GrpcTarget } from './grpc-target.ts'
import { MESSAGES } from './inference-proto.ts'
import type { WireModel } from './to-wire.ts'
import { writeFrame } from './write-frame.ts'

const METHODS = DIALECTS.v2.grpcMethods

/** The V2 description of a model. */
export interface MetadataBody {
  readonly name: string
  readonly versions?: readonly string[]
  readonly platform: string
  readonly inputs: readonly DeclaredInput[]
  readonly outputs: readonly DeclaredInput[]
}

/** The members of a request that a query for the model's state needs. */
export type StateRequest = Pick<EndpointRequest, 'deadline' | 'headers'>

/** Queries the model's metadata. @throws Problem */
export async function askMetadata(
  target: GrpcTarget,
  model: WireModel,
  { deadline, headers }: StateRequest,
): Promise<MetadataBody> {
  const frame = writeFrame(MESSAGES.modelRequest, model)
  return toMetadataBody(
    await callForOne(
      target,
      { method: METHODS.metadata, frame, deadline, headers },
      { decode: decodeMetadata },
    ),
  )
}

/** Answers with the model's metadata. */
export class MetadataEndpoint implements Endpoint {
  readonly #target: GrpcTarget
  readonly #model: WireModel

  constructor(target: GrpcTarget, model: WireModel) {
    this.#target = target
    this.#model = model
  }

  async call(request: EndpointRequest): Promise<EndpointResponse> {
    return jsonResponse(await askMetadata(this.#target, this.#model, request), this.#target, METHODS.metadata)
  }
}

/** Answers `{"name":…,"ready":true}`; a model that is not ready is a problem, as over HTTP. */
export class ReadyEndpoint implements Endpoint {
  readonly #target: GrpcTarget
  readonly #model: WireModel

  constructor(target: GrpcTarget, model: WireModel) {
    this.#target = target
    this.#model = model
  }

  async call({ deadline, headers }: EndpointRequest): Promise<EndpointResponse> {
    const method = METHODS.ready
    const frame = writeFrame(MESSAGES.modelRequest, this.#model)
    const { ready } = await callForOne(
      this.#target,
      { method, frame, deadline, headers, isReadiness: true },
      MESSAGES.ready,
    )
    const { name } = this.#model
    if (ready) return jsonResponse({ name, ready }, this.#target, method)
    throw modelError({
      status: 503,
      body: Buffer.from(JSON.stringify({ error: `Model with name ${name} is not ready.` })),
      contentType: JSON_TYPE,
      retryAfterMs: undefined,
      exchange: `${addressOf(this.#target, method)}: ready is false`,
      isReadiness: true,
      errorText: this.#target.errorText,
    })
  }
}

function toMetadataBody({ name, versions, platform, inputs, outputs }: DecodedMetadata): MetadataBody {
  return {
    name,
    ...(versions.length === 0 ? {} : { versions }),
    platform,
    inputs: inputs.map(toDeclared),
    outputs: outputs.map(toDeclared),
  }
}

function toDeclared({ name, datatype, shape }: DecodedTensor): DeclaredInput {
  return { name, datatype, shape }
}

// A message can grow when it becomes JSON, so the limit for answers applies to the JSON as well.
function jsonResponse(value: object, target: GrpcTarget, method: string): EndpointResponse {
  const body = Buffer.from(JSON.stringify(value))
  const { responseBytesMax } = target
  if (body.length > responseBytesMax) throw tooLarge(responseBytesMax, addressOf(target, method))
  return { status: 200, body, contentType: JSON_TYPE, inferenceHeaderContentLength: undefined }
}

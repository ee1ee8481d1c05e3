// Reads proto/inference.proto, and describes its messages as types. protobufjs generates the encoders at run time.
import { readFileSync } from 'node:fs'
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js'
import protobuf from 'protobufjs'

/** A 64-bit integer when decoded. To encode it, `low` and `high` suffice. */
export interface WireInteger {
  readonly low: number
  readonly high: number
  readonly unsigned: boolean
}

/** InferTensorContents. A list that is absent from the message is decoded as an empty list. */
export interface WireContents {
  readonly bool_contents?: readonly boolean[]
  readonly int_contents?: readonly number[]
  readonly int64_contents?: readonly WireInteger[]
  readonly uint_contents?: readonly number[]
  readonly uint64_contents?: readonly WireInteger[]
  readonly fp32_contents?: readonly number[]
  readonly fp64_contents?: readonly number[]
  readonly bytes_contents?: readonly Uint8Array[]
}

/** InferInputTensor, without its parameters, which this server does not support. */
export interface WireInput {
  readonly name: string
  readonly datatype: string
  readonly shape: readonly WireInteger[]
  readonly contents?: WireContents | null
}

/** ModelInferRequest. */
export interface WireRequest {
  readonly model_name: string
  readonly id: string
  readonly inputs: readonly WireInput[]
  readonly outputs: readonly { readonly name: string }[]
  readonly raw_input_contents: readonly Uint8Array[]
}

/** ModelInferResponse. */
export interface WireResponse {
  readonly model_name: string
  readonly id: string
  readonly outputs: readonly {
    readonly name: string
    readonly datatype: string
    readonly shape: readonly number[]
    readonly contents?: WireContents
  }[]
  readonly raw_output_contents: readonly Uint8Array[]
}

const PROTO = new URL('../../proto/inference.proto', import.meta.url)

/** Reads the service, with an encoder and a decoder for each message. */
export function readService(): ServiceDefinition {
  const { root } = protobuf.parse(readFileSync(PROTO, 'utf8'), new protobuf.Root(), { keepCase: true })
  const service = root.lookupService('inference.GRPCInferenceService')
  const methods = service.methodsArray.map((method): [string, MethodDefinition<object, object>] => {
    const request = root.lookupType(`inference.${method.requestType}`)
    const response = root.lookupType(`inference.${method.responseType}`)
    return [
      method.name,
      {
        path: `/inference.GRPCInferenceService/${method.name}`,
        requestStream: method.requestStream === true,
        responseStream: method.responseStream === true,
        requestSerialize: (message) => Buffer.from(request.encode(message).finish()),
        requestDeserialize: (bytes) => request.decode(bytes),
        responseSerialize: (message) => Buffer.from(response.encode(message).finish()),
        responseDeserialize: (bytes) => response.decode(bytes),
      },
    ]
  })
  return Object.fromEntries(methods)
}

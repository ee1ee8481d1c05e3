// The encoders of the messages of the Open Inference Protocol over gRPC, which protobufjs generates at run time.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { WireInteger, WireParameter, WireRequest, WireResponse } from '@inferwire/protocol'
import protobuf from 'protobufjs'

// package.json maps this name to the file of @inferwire/protocol; the published command contains a copy of the file.
const PROTO = createRequire(import.meta.url).resolve('#inference.proto')

/** ModelMetadataResponse. */
export interface WireMetadata {
  readonly name: string
  readonly versions: readonly string[]
  readonly platform: string
  readonly inputs: readonly WireTensorMetadata[]
  readonly outputs: readonly WireTensorMetadata[]
}

/** TensorMetadata. */
export interface WireTensorMetadata {
  readonly name: string
  readonly datatype: string
  readonly shape: readonly WireInteger[]
}

/** Encodes and decodes one message type. */
export interface Codec<Message> {
  /** Returns the encoded message; bytes fields are copied into it. */
  encode(message: Message): Buffer
  /** Decodes a message; bytes fields are views of it. @throws Error if it is malformed */
  decode(encoded: Buffer): Message
}

const { root } = protobuf.parse(readFileSync(PROTO, 'utf8'), new protobuf.Root(), { keepCase: true })
// Without this call, protobufjs 7.6 does not apply proto3's default, and encodes repeated numbers unpacked.
root.resolveAll()

function codec<Message extends object>(name: string): Codec<Message> {
  const type = root.lookupType(`inference.${name}`)
  return {
    encode: (message) => type.encode(message).finish() as Buffer,
    decode: (encoded) => type.decode(encoded) as unknown as Message,
  }
}

/** The message types that the connector sends and receives. For large responses, see `decode-response.ts`. */
export const MESSAGES = {
  modelRequest: codec<{ readonly name: string; readonly version: string }>('ModelMetadataRequest'),
  ready: codec<{ readonly ready: boolean }>('ModelReadyResponse'),
  metadata: codec<WireMetadata>('ModelMetadataResponse'),
  parameter: codec<WireParameter>('InferParameter'),
  request: codec<WireRequest>('ModelInferRequest'),
  response: codec<WireResponse>('ModelInferResponse'),
  streamResponse: codec<{ readonly error_message: string; readonly infer_response?: WireResponse | null }>(
    'ModelStreamInferResponse',
  ),
} as const

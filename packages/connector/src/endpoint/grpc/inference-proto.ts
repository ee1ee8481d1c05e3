// The messages of the Open Inference Protocol over gRPC, and their encoders, which protobufjs generates at run time.
import protobuf from 'protobufjs'
import type { WireInteger } from './wire-integer.ts'

/**
 * The part of the protocol that the connector uses. Field numbers: Open Inference Protocol, `inference_grpc`; and
 * Triton's `grpc_service.proto` for `ModelStreamInferResponse`. Field 6 of ModelMetadataResponse is omitted, because
 * servers disagree about its type.
 */
const INFERENCE_PROTO = `
syntax = "proto3";
package inference;

message ModelReadyRequest { string name = 1; string version = 2; }
message ModelReadyResponse { bool ready = 1; }
message ModelMetadataRequest { string name = 1; string version = 2; }
message ModelMetadataResponse {
  message TensorMetadata { string name = 1; string datatype = 2; repeated int64 shape = 3; }
  string name = 1;
  repeated string versions = 2;
  string platform = 3;
  repeated TensorMetadata inputs = 4;
  repeated TensorMetadata outputs = 5;
}
message InferParameter {
  oneof parameter_choice {
    bool bool_param = 1;
    int64 int64_param = 2;
    string string_param = 3;
    double double_param = 4;
    uint64 uint64_param = 5;
  }
}
message InferTensorContents {
  repeated bool bool_contents = 1;
  repeated int32 int_contents = 2;
  repeated int64 int64_contents = 3;
  repeated uint32 uint_contents = 4;
  repeated uint64 uint64_contents = 5;
  repeated float fp32_contents = 6;
  repeated double fp64_contents = 7;
  repeated bytes bytes_contents = 8;
}
message ModelInferRequest {
  message InferInputTensor {
    string name = 1;
    string datatype = 2;
    repeated int64 shape = 3;
    map<string, InferParameter> parameters = 4;
    InferTensorContents contents = 5;
  }
  message InferRequestedOutputTensor { string name = 1; map<string, InferParameter> parameters = 2; }
  string model_name = 1;
  string model_version = 2;
  string id = 3;
  map<string, InferParameter> parameters = 4;
  repeated InferInputTensor inputs = 5;
  repeated InferRequestedOutputTensor outputs = 6;
  repeated bytes raw_input_contents = 7;
}
message ModelInferResponse {
  message InferOutputTensor {
    string name = 1;
    string datatype = 2;
    repeated int64 shape = 3;
    map<string, InferParameter> parameters = 4;
    InferTensorContents contents = 5;
  }
  string model_name = 1;
  string model_version = 2;
  string id = 3;
  map<string, InferParameter> parameters = 4;
  repeated InferOutputTensor outputs = 5;
  repeated bytes raw_output_contents = 6;
}
message ModelStreamInferResponse { string error_message = 1; ModelInferResponse infer_response = 2; }
`

/** InferParameter. After decoding, exactly one member is set; for encoding, see `toWireParameter`. */
export interface WireParameter {
  readonly bool_param?: boolean
  readonly int64_param?: WireInteger
  readonly string_param?: string
  readonly double_param?: number
  readonly uint64_param?: WireInteger
}

/** The members of a map field. */
export type WireParameters = Readonly<Record<string, WireParameter>>

/** InferTensorContents. Lists are decoded as arrays; an absent list is decoded as an empty array. */
export interface WireContents {
  readonly bool_contents?: ArrayLike<boolean | number>
  readonly int_contents?: ArrayLike<number>
  readonly int64_contents?: ArrayLike<WireInteger>
  readonly uint_contents?: ArrayLike<number>
  readonly uint64_contents?: ArrayLike<WireInteger>
  readonly fp32_contents?: ArrayLike<number>
  readonly fp64_contents?: ArrayLike<number>
  readonly bytes_contents?: readonly Uint8Array[]
}

/** InferInputTensor or InferOutputTensor. */
export interface WireTensor {
  readonly name: string
  readonly datatype: string
  readonly shape: readonly (number | WireInteger)[]
  readonly parameters: WireParameters
  readonly contents?: WireContents | null
}

/** ModelInferRequest. */
export interface WireRequest {
  readonly model_name: string
  readonly model_version: string
  readonly id: string
  readonly parameters: WireParameters
  readonly inputs: readonly WireTensor[]
  readonly outputs: readonly { readonly name: string; readonly parameters: WireParameters }[]
  readonly raw_input_contents: readonly Uint8Array[]
}

/** ModelInferResponse. */
export interface WireResponse {
  readonly model_name: string
  readonly model_version: string
  readonly id: string
  readonly parameters: WireParameters
  readonly outputs: readonly WireTensor[]
  readonly raw_output_contents: readonly Uint8Array[]
}

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

const root = protobuf.parse(INFERENCE_PROTO, new protobuf.Root(), { keepCase: true }).root

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

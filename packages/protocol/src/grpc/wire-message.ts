// The messages of the Open Inference Protocol over gRPC, as protobufjs encodes and decodes them. `inference.proto`
// defines their fields.
import type { WireInteger } from './wire-integer.ts'

/**
 * InferParameter. A server may set no member, and the decoder does not clear earlier members, so the order in which they
 * are read matters.
 */
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

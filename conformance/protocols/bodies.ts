// Bodies of requests: V1 instances, V2 inputs, and the binary tensor extension.
import type { RequestProperties } from '../fixtures/mqtt-client.ts'

/** A V2 tensor with JSON data. */
export interface JsonTensor {
  readonly name: string
  readonly datatype: string
  readonly shape: readonly number[]
  readonly data: readonly unknown[]
}

/** Returns a tensor. @param shape @default one dimension, with the number of elements */
export function tensor(
  name: string,
  datatype: string,
  data: readonly unknown[],
  shape: readonly number[] = [data.length],
): JsonTensor {
  return { name, datatype, shape, data }
}

/** Returns a V1 body. */
export function instances(...values: unknown[]): string {
  return JSON.stringify({ instances: values })
}

/** Members of a V2 body besides its tensors. */
export interface V2Members {
  /** @default r1 */
  readonly id?: string
  /** The outputs that the client wants. @default all */
  readonly outputs?: readonly { readonly name: string; readonly parameters?: object }[]
}

/** Returns a V2 body. */
export function inputs(...tensors: JsonTensor[]): string {
  return inputsWith({}, ...tensors)
}

/** Returns a V2 body with other members. */
export function inputsWith(members: V2Members, ...tensors: JsonTensor[]): string {
  return JSON.stringify({ id: 'r1', ...members, inputs: tensors })
}

/** Returns the bytes of an FP32 tensor. */
export function floats(...values: number[]): Buffer {
  return Buffer.from(Float32Array.from(values).buffer)
}

/** A body with its properties, to be spread into a case. */
export interface BinaryBody {
  readonly body: Buffer
  readonly properties: RequestProperties
}

/** Returns a V2 request that contains one binary FP32 tensor and asks for a binary answer. */
export function binaryInput(
  name: string,
  shape: readonly number[],
  data: Buffer,
  members: V2Members = {},
): BinaryBody {
  const json = Buffer.from(
    JSON.stringify({
      id: 'r1',
      ...members,
      inputs: [{ name, shape, datatype: 'FP32', parameters: { binary_data_size: data.length } }],
      parameters: { binary_data_output: true },
    }),
  )
  return withLength(Buffer.concat([json, data]), json.length)
}

/** Returns a body that consists of the bytes of one tensor. */
export function bareTensor(data: Buffer): BinaryBody {
  return withLength(data, 0)
}

/** Matches the binary answer of `digits` that contains the label 7, an INT64, after the JSON. */
export const LABEL_SEVEN = new RegExp(
  `"name":"label".*}${Buffer.from([7, 0, 0, 0, 0, 0, 0, 0]).toString()}`,
  's',
)

function withLength(body: Buffer, jsonBytes: number): BinaryBody {
  return {
    body,
    properties: {
      contentType: 'application/octet-stream',
      userProperties: { 'inference-header-content-length': String(jsonBytes) },
    },
  }
}

// Reads a V1 body that contains only the bytes of a tensor's FP32 values.
import type { Tensor } from '@inferwire/protocol'
import type { Model } from './model.ts'

const FP32_BYTES = 4

/**
 * Reads a body of little-endian values as rows, for a model with a single FP32 input whose rows have a fixed size;
 * undefined if the model has other inputs, or if the bytes are not a whole number of rows. For example, 256 bytes are
 * one row of 64 values.
 */
export function fromRawBody({ inputs }: Model, body: Uint8Array): Tensor | undefined {
  const [input, another] = inputs
  const [rows, ...row] = input?.shape ?? []
  if (input?.datatype !== 'FP32' || another !== undefined || rows !== -1 || row.includes(-1)) return undefined
  const size = row.reduce((product, dimension) => product * dimension, 1)
  const count = body.length / (size * FP32_BYTES)
  if (!Number.isSafeInteger(count) || count === 0) return undefined
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength)
  const data = Float32Array.from({ length: count * size }, (_, index) =>
    view.getFloat32(index * FP32_BYTES, true),
  )
  return { name: input.name, datatype: 'FP32', shape: [count, ...row], data }
}

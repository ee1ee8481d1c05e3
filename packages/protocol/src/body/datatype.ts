// The datatypes of tensors, and the typed arrays that contain their values.

/** The datatypes of the Open Inference Protocol that have a JSON form on every server. */
export type Datatype = Exclude<TensorDatatype, HalfDatatype>

/** The datatypes of 16-bit floating-point numbers, which not every server supports. BF16 is Triton's. */
export type HalfDatatype = 'FP16' | 'BF16'

/** The datatypes of a V2 tensor. */
export type TensorDatatype = keyof typeof TYPED_ARRAYS | 'BYTES'

/**
 * The typed array for the values of each datatype except BYTES. FP16 and BF16 values are bit patterns, because ES2023
 * has no typed array for them.
 */
export const TYPED_ARRAYS = {
  BOOL: Uint8Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  UINT64: BigUint64Array,
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  INT64: BigInt64Array,
  FP16: Uint16Array,
  BF16: Uint16Array,
  FP32: Float32Array,
  FP64: Float64Array,
} as const

/** The names of all datatypes. */
export const DATATYPES = [...Object.keys(TYPED_ARRAYS), 'BYTES'] as readonly TensorDatatype[]

/** Whether a value is the name of a datatype, in upper case. */
export function isDatatype(name: unknown): name is TensorDatatype {
  return typeof name === 'string' && (name === 'BYTES' || Object.hasOwn(TYPED_ARRAYS, name))
}

/** Whether a datatype is FP16 or BF16. */
export function isHalf(datatype: string): datatype is HalfDatatype {
  return datatype === 'FP16' || datatype === 'BF16'
}

/** Whether a datatype is one of floating-point numbers. */
export function isFloat(datatype: string): datatype is HalfDatatype | 'FP32' | 'FP64' {
  return isHalf(datatype) || datatype === 'FP32' || datatype === 'FP64'
}

/** Returns the size of a value in bytes; undefined for BYTES, whose elements differ in size. */
export function widthOf(datatype: TensorDatatype): number | undefined {
  return datatype === 'BYTES' ? undefined : TYPED_ARRAYS[datatype].BYTES_PER_ELEMENT
}

// Converts tensors between JSON and typed arrays, and checks values against the datatype and the shape.
import { BodyError } from './body-error.ts'
import { isFloat, isHalf, TYPED_ARRAYS, type Datatype, type TensorDatatype } from './datatype.ts'
import { fromHalves, toHalves } from './float16.ts'
import type { Json } from './json.ts'

/** A tensor's values, row-major. A BOOL value is 0 or 1 in a Uint8Array; FP16 and BF16 values are bit patterns. */
export type TensorData =
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Float32Array
  | Float64Array
  | string[]

/** A tensor whose number of values matches its shape. */
export interface Tensor {
  readonly name: string
  readonly datatype: Datatype
  readonly shape: readonly number[]
  readonly data: TensorData
}

/** The values of a nested list in row-major order, and the list's shape. */
export interface Flat {
  readonly shape: readonly number[]
  readonly values: readonly Json[]
}

/**
 * Flattens nested lists.
 * @throws BodyError `invalid_value` if the nesting is ragged, with numpy's message.
 */
export function flatten(nested: readonly Json[]): Flat {
  const shape: number[] = []
  for (let level: Json | undefined = nested as Json[]; Array.isArray(level); level = level[0]) {
    shape.push(level.length)
  }
  const values: Json[] = []
  collect(nested, 0, shape, values)
  return { shape, values }
}

function collect(list: readonly Json[], axis: number, shape: readonly number[], values: Json[]): void {
  if (list.length !== shape[axis]) throw ragged(shape, axis)
  const isInner = axis === shape.length - 1
  for (const item of list) {
    if (Array.isArray(item) === isInner) throw ragged(shape, axis + 1)
    if (isInner) values.push(item)
    else collect(item as Json[], axis + 1, shape, values)
  }
}

function ragged(shape: readonly number[], axis: number): BodyError {
  return new BodyError(
    'invalid_value',
    `setting an array element with a sequence. The requested array has an inhomogeneous shape after ` +
      `${Math.min(axis, shape.length)} dimensions.`,
  )
}

/** Returns the number of values in a tensor of this shape. The number is exact up to 2^53. */
export function countOf(shape: readonly number[]): number {
  return shape.reduce((product, dimension) => product * dimension, 1)
}

/** Formats a shape as KServe's server does: `(2,4)`. */
export function printShape(shape: readonly number[]): string {
  return `(${shape.join(',')}${shape.length === 1 ? ',' : ''})`
}

/**
 * Turns JSON values into the typed array of a datatype.
 * @throws BodyError `invalid_value` if a value is not of the datatype. Integers are never rounded or wrapped, unlike in
 * KServe's server, which does both in some cases.
 * @param what how the error message refers to the tensor, such as `input`
 */
export function toTensorData(
  name: string,
  datatype: TensorDatatype,
  values: readonly Json[],
  what: 'input' | 'output' = 'input',
): TensorData {
  const refuse = (value: Json): never => {
    throw new BodyError(
      'invalid_value',
      `${what} "${name}": ${printValue(value)} is not a value of ${datatype}`,
    )
  }
  const float = (value: Json): number => {
    // Also rejects null. KServe's V2 reads null as NaN, which its scikit-learn models reject, but Inferwire's model
    // server would classify NaN. Clients that mean NaN can send the token NaN, or binary data.
    if (typeof value !== 'number' && typeof value !== 'bigint') return refuse(value)
    const number = Number(value)
    const isTooLarge = datatype === 'FP32' && Number.isFinite(number) && !Number.isFinite(Math.fround(number))
    return isTooLarge ? refuse(value) : number
  }
  const bigint = (value: Json): bigint => {
    if (typeof value !== 'bigint' && !Number.isSafeInteger(value)) return refuse(value)
    const integer = BigInt(value as number | bigint)
    const wrapped = datatype === 'INT64' ? BigInt.asIntN(64, integer) : BigInt.asUintN(64, integer)
    return wrapped === integer ? integer : refuse(value)
  }
  if (datatype === 'BOOL') {
    return Uint8Array.from(values, (value) => (typeof value === 'boolean' ? Number(value) : refuse(value)))
  }
  if (datatype === 'BYTES') return values.map((value) => (typeof value === 'string' ? value : refuse(value)))
  if (isHalf(datatype)) return toHalves(`${what} "${name}"`, datatype, values.map(float))
  if (isFloat(datatype)) return new TYPED_ARRAYS[datatype](values.map(float))
  if (datatype === 'INT64' || datatype === 'UINT64') return new TYPED_ARRAYS[datatype](values.map(bigint))
  // An element of a typed array wraps an integer that does not fit, and truncates a fraction.
  const element = new TYPED_ARRAYS[datatype](1)
  const integer = (value: Json): number => {
    if (typeof value !== 'number') return refuse(value)
    element[0] = value
    return element[0] === value ? value : refuse(value)
  }
  return new TYPED_ARRAYS[datatype](values.map(integer))
}

function printValue(value: Json): string {
  if (typeof value === 'string') return value.length > 40 ? `"${value.slice(0, 40)}…"` : `"${value}"`
  return value !== null && typeof value === 'object' ? 'an object' : String(value)
}

/** Returns the values as a flat JSON list. 64-bit integers are exact; NaN and infinities are `null`. */
export function toFlatJson(datatype: TensorDatatype, data: TensorData): string {
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) return `[${data.join(',')}]`
  if (datatype === 'BOOL') return JSON.stringify(Array.from(data, Boolean))
  const values = isHalf(datatype) ? fromHalves(datatype, data as Uint16Array) : data
  // JSON.stringify writes null for NaN and the infinities, as KServe's server does.
  return JSON.stringify(Array.from(values as Iterable<number | string>))
}

/** Returns the values as JSON lists nested according to the shape; a scalar is the bare value. */
export function toNestedJson(tensor: Tensor): string {
  return nest(tensor, 0, 0, countOf(tensor.shape))
}

function nest(tensor: Tensor, axis: number, from: number, to: number): string {
  const { datatype, shape, data } = tensor
  if (axis >= shape.length - 1) {
    const row = toFlatJson(datatype, data.slice(from, to))
    return shape.length === 0 ? row.slice(1, -1) : row
  }
  const length = shape[axis] ?? 0
  const step = length === 0 ? 0 : (to - from) / length
  const rows: string[] = []
  for (let row = 0; row < length; row++) {
    rows.push(nest(tensor, axis + 1, from + row * step, from + (row + 1) * step))
  }
  return `[${rows.join(',')}]`
}

// Converts tensors between JSON and typed arrays, and checks values against the datatype and the shape.
import { BodyError } from './body-error.ts'
import type { Json } from './json.ts'

/** The supported datatypes of the Open Inference Protocol. */
export type Datatype =
  | 'BOOL'
  | 'UINT8'
  | 'UINT16'
  | 'UINT32'
  | 'UINT64'
  | 'INT8'
  | 'INT16'
  | 'INT32'
  | 'INT64'
  | 'FP32'
  | 'FP64'
  | 'BYTES'

/** A tensor's values, row-major. A BOOL value is 0 or 1 in a Uint8Array. */
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

/** The typed array for the values of each datatype except BYTES. */
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
  FP32: Float32Array,
  FP64: Float64Array,
} as const satisfies Record<Exclude<Datatype, 'BYTES'>, unknown>

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

const INTEGERS: Partial<Record<Datatype, { min: bigint; max: bigint }>> = {
  UINT8: { min: 0n, max: 0xffn },
  UINT16: { min: 0n, max: 0xffffn },
  UINT32: { min: 0n, max: 0xffffffffn },
  UINT64: { min: 0n, max: 0xffffffffffffffffn },
  INT8: { min: -0x80n, max: 0x7fn },
  INT16: { min: -0x8000n, max: 0x7fffn },
  INT32: { min: -0x80000000n, max: 0x7fffffffn },
  INT64: { min: -0x8000000000000000n, max: 0x7fffffffffffffffn },
}

/**
 * Turns JSON values into the typed array of a datatype.
 * @throws BodyError `invalid_value` if a value is not of the datatype. Values are never rounded or wrapped, unlike
 * in KServe's server, which does both in some cases.
 * @param what how the error message refers to the tensor, such as `input`
 */
export function toTensorData(
  name: string,
  datatype: Datatype,
  values: readonly Json[],
  what: 'input' | 'output' = 'input',
): TensorData {
  const refuse = (value: Json): never => {
    throw new BodyError(
      'invalid_value',
      `${what} "${name}": ${printValue(value)} is not a value of ${datatype}`,
    )
  }
  const integer = (value: Json): number => {
    const range = INTEGERS[datatype]
    if (typeof value !== 'number' || !Number.isInteger(value) || range === undefined) return refuse(value)
    return value < Number(range.min) || value > Number(range.max) ? refuse(value) : value
  }
  const bigint = (value: Json): bigint => {
    const range = INTEGERS[datatype]
    // Most values are safe integers. INT64 can represent all of them, and UINT64 all that are not negative.
    if (Number.isSafeInteger(value) && (datatype === 'INT64' || (value as number) >= 0))
      return BigInt(value as number)
    const isWhole = typeof value === 'bigint' || (typeof value === 'number' && Number.isSafeInteger(value))
    if (!isWhole || range === undefined) return refuse(value)
    const exact = BigInt(value)
    return exact < range.min || exact > range.max ? refuse(value) : exact
  }
  const float = (value: Json): number => {
    // Also rejects null. KServe's V2 reads null as NaN, which its scikit-learn models reject, but Inferwire's model
    // server would classify NaN. Clients that mean NaN can send the token NaN, or binary data.
    if (typeof value !== 'number' && typeof value !== 'bigint') return refuse(value)
    const number = Number(value)
    const isTooLarge = datatype === 'FP32' && Number.isFinite(number) && !Number.isFinite(Math.fround(number))
    return isTooLarge ? refuse(value) : number
  }
  if (datatype === 'BOOL') {
    return Uint8Array.from(values, (value) => (typeof value === 'boolean' ? Number(value) : refuse(value)))
  }
  if (datatype === 'BYTES') return values.map((value) => (typeof value === 'string' ? value : refuse(value)))
  if (datatype === 'FP32' || datatype === 'FP64') return new TYPED_ARRAYS[datatype](values.map(float))
  if (datatype === 'INT64' || datatype === 'UINT64') return new TYPED_ARRAYS[datatype](values.map(bigint))
  return new TYPED_ARRAYS[datatype](values.map(integer))
}

function printValue(value: Json): string {
  if (typeof value === 'string') return value.length > 40 ? `"${value.slice(0, 40)}…"` : `"${value}"`
  return value !== null && typeof value === 'object' ? 'an object' : String(value)
}

/** Returns the values as a flat JSON list. 64-bit integers are exact; NaN and infinities are `null`. */
export function toFlatJson(tensor: Tensor): string {
  const { data } = tensor
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) return `[${data.join(',')}]`
  if (tensor.datatype === 'BOOL') return JSON.stringify(Array.from(data, Boolean))
  // JSON.stringify writes null for NaN and the infinities, as KServe's server does.
  return JSON.stringify(Array.from(data as Iterable<number | string>))
}

/** Returns the values as JSON lists nested according to the shape; a scalar is the bare value. */
export function toNestedJson(tensor: Tensor): string {
  return nest(tensor, 0, 0, countOf(tensor.shape))
}

function nest(tensor: Tensor, axis: number, from: number, to: number): string {
  const { shape } = tensor
  if (axis >= shape.length - 1) {
    const row = toFlatJson({ ...tensor, data: tensor.data.slice(from, to) })
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

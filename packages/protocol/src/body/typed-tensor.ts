// Typed tensors, as applications use them: infers and checks the datatype of values that a caller supplies.
import { DATATYPES, isDatatype, isHalf, TYPED_ARRAYS, type TensorDatatype } from './datatype.ts'
import { countOf, printShape, toTensorData, type TensorData } from './tensor.ts'

/** A Float16Array, which not every supported runtime has. */
export interface Float16Values extends ArrayBufferView {
  readonly length: number
  readonly [index: number]: number
  readonly [Symbol.toStringTag]: 'Float16Array'
  [Symbol.iterator](): IterableIterator<number>
}

/** The type of the list that holds a reply's values, for each datatype. The values are in row-major order. */
export interface ValuesOf {
  /** 0 is false. */
  BOOL: Uint8Array
  UINT8: Uint8Array
  UINT16: Uint16Array
  UINT32: Uint32Array
  UINT64: BigUint64Array
  INT8: Int8Array
  INT16: Int16Array
  INT32: Int32Array
  INT64: BigInt64Array
  /** Bit patterns in a Uint16Array if the runtime has no Float16Array; see `toFloat32`. */
  FP16: Float16Values | Uint16Array
  /** Bit patterns; see `toFloat32`. */
  BF16: Uint16Array
  FP32: Float32Array
  FP64: Float64Array
  /** Every element is a byte array if at least one of them is not UTF-8. */
  BYTES: string[] | Uint8Array[]
}

/** The values of an input tensor, row-major. Plain numbers and bigints need an explicit datatype. */
export type InputValues =
  | ValuesOf[TensorDatatype]
  | readonly string[]
  | readonly Uint8Array[]
  | readonly boolean[]
  | readonly number[]
  | readonly bigint[]

/** A tensor of a request. */
export interface InputTensor {
  readonly name: string
  /** Concrete sizes; their product is the number of values. */
  readonly shape: readonly number[]
  readonly data: InputValues
  /**
   * @default the datatype of the typed array (Uint8Array is UINT8, Uint16Array is UINT16), BYTES for text and byte
   * arrays, BOOL for booleans
   */
  readonly datatype?: TensorDatatype | undefined
  /** V2 parameters of the tensor. */
  readonly parameters?: Readonly<Record<string, string | number | boolean>> | undefined
}

/** An input tensor whose datatype is known, and whose values match the datatype and the shape. */
export interface CheckedTensor {
  readonly name: string
  readonly datatype: TensorDatatype
  readonly shape: readonly number[]
  readonly data: Exclude<TensorData, string[]> | Float16Values | readonly (string | Uint8Array)[]
  readonly parameters: Readonly<Record<string, string | number | boolean>> | undefined
}

// By the name of the typed array. A Uint8Array may also contain BOOL, and a Uint16Array the bit patterns of FP16 or BF16.
const DATATYPE_OF: Readonly<Record<string, TensorDatatype>> = {
  Float16Array: 'FP16',
  ...Object.fromEntries(
    Object.entries(TYPED_ARRAYS)
      .filter(([datatype]) => datatype !== 'BOOL' && !isHalf(datatype))
      .map(([datatype, { name }]) => [name, datatype]),
  ),
}

/** Checks a tensor. @throws TypeError that names the tensor, the mistake and the remedy */
export function checkTensor(tensor: InputTensor): CheckedTensor {
  const { name, shape, data, parameters } = tensor
  if (typeof name !== 'string') throw new TypeError(`The name of a tensor is ${typeof name}; expected text.`)
  if (!Array.isArray(shape) || !shape.every((size) => Number.isSafeInteger(size) && size >= 0)) {
    throw new TypeError(
      `The shape of tensor "${name}" is not a list of sizes, which must be non-negative integers.`,
    )
  }
  const datatype = tensor.datatype ?? inferred(name, data)
  if (!isDatatype(datatype)) {
    throw new TypeError(
      `Tensor "${name}" has the datatype "${String(datatype)}"; expected ${DATATYPES.join(', ')}.`,
    )
  }
  const values = valuesOf(name, datatype, data)
  if (values.length !== countOf(shape)) {
    throw new TypeError(
      `Tensor "${name}" has ${values.length} values, but its shape ${printShape(shape)} has ${countOf(shape)}.`,
    )
  }
  return { name, datatype, shape, data: values, parameters }
}

function inferred(name: string, data: InputValues): TensorDatatype {
  const datatype = DATATYPE_OF[typeNameOf(data)]
  if (datatype !== undefined) return datatype
  const [first] = Array.isArray(data) ? (data as unknown[]) : []
  if (typeof first === 'string' || first instanceof Uint8Array) return 'BYTES'
  if (typeof first === 'boolean') return 'BOOL'
  throw new TypeError(
    `The datatype of tensor "${name}" cannot be inferred from its data: set datatype, or use a typed array such as Float32Array.`,
  )
}

function valuesOf(name: string, datatype: TensorDatatype, data: InputValues): CheckedTensor['data'] {
  if (Array.isArray(data)) return fromList(name, datatype, data)
  const type = typeNameOf(data)
  const isBits = type === 'Uint16Array' && (datatype === 'FP16' || datatype === 'BF16')
  if (DATATYPE_OF[type] === datatype || isBits || (datatype === 'BOOL' && type === 'Uint8Array')) {
    return data as CheckedTensor['data']
  }
  const what = type === 'Object' ? 'an object' : `of type ${type}`
  throw new TypeError(`The data of tensor "${name}" is ${what}, which does not fit the datatype ${datatype}.`)
}

function fromList(name: string, datatype: TensorDatatype, list: unknown[]): CheckedTensor['data'] {
  if (datatype === 'BYTES') {
    const wrong = list.findIndex((item) => typeof item !== 'string' && !(item instanceof Uint8Array))
    if (wrong === -1) return list as (string | Uint8Array)[]
    throw new TypeError(
      `Value ${wrong} of tensor "${name}" is ${typeof list[wrong]}; BYTES needs text or bytes.`,
    )
  }
  const wrong = isHalf(datatype) ? list.findIndex((item) => typeof item !== 'number') : -1
  if (wrong !== -1) {
    throw new TypeError(
      `Value ${wrong} of tensor "${name}" is ${typeof list[wrong]}; ${datatype} needs numbers.`,
    )
  }
  try {
    return toTensorData(name, datatype, list as number[])
  } catch (error) {
    throw new TypeError((error as Error).message, { cause: error })
  }
}

function typeNameOf(value: unknown): string {
  return Object.prototype.toString.call(value).slice('[object '.length, -1)
}

// Reads V2 inference responses, with tensors in binary or as JSON, into typed arrays.
import { requireLittleEndian } from './binary-tensor.ts'
import { BodyError } from './body-error.ts'
import { fromBfloat16, fromFloat16, isHalf, toHalves, type HalfDatatype } from './float16.ts'
import { isJsonObject, JsonSyntaxError, parseJson, type Json, type JsonObject } from './json.ts'
import { countOf, flatten, printShape, toTensorData, TYPED_ARRAYS } from './tensor.ts'
import type { Float16Values, TensorDatatype, ValuesOf } from './typed-tensor.ts'
import { utf8Decoder } from './utf8.ts'

interface OutputOf<D extends TensorDatatype> {
  readonly name: string
  readonly datatype: D
  readonly shape: readonly number[]
  /** Row-major; a view of the body where its alignment allows. */
  readonly data: ValuesOf[D]
}

/** A tensor of a response. `datatype` determines the type of `data`. */
export type OutputTensor = { [D in TensorDatatype]: OutputOf<D> }[TensorDatatype]

/** A V2 inference response. */
export interface V2Answer {
  readonly id: string | undefined
  readonly modelName: string | undefined
  readonly modelVersion: string | undefined
  readonly outputs: readonly OutputTensor[]
}

const FLOATS: ReadonlySet<TensorDatatype> = new Set(['FP16', 'BF16', 'FP32', 'FP64'])

type Float16Constructor = new (buffer: ArrayBufferLike, offset: number, length: number) => Float16Values
const Float16Array = (globalThis as { Float16Array?: Float16Constructor }).Float16Array

/**
 * Reads a response.
 * @param jsonLength number of JSON bytes before the binary tensors; undefined if the body is only JSON
 * @throws BodyError if the body is not a V2 response, or if a tensor does not match its datatype or shape
 */
export function readV2Answer(body: Uint8Array, jsonLength?: number): V2Answer {
  if (jsonLength !== undefined && jsonLength > body.length) {
    throw new BodyError('invalid_input', `its JSON has ${jsonLength} bytes, but the body has ${body.length}`)
  }
  const answer = parsed(body.subarray(0, jsonLength))
  const { outputs } = answer
  if (!Array.isArray(outputs)) throw new BodyError('missing', 'it has no list "outputs"')
  // In Node.js the body may be a Buffer, whose parts would be Buffers too.
  let rest = new Uint8Array(body.buffer, body.byteOffset, body.length).subarray(jsonLength ?? body.length)
  const tensors = outputs.map((output) => {
    const head = headOf(output)
    const { binarySize } = head
    if (binarySize === undefined) return fromJson(head)
    if (binarySize > rest.length) {
      const what = `output "${head.name}" has ${binarySize} bytes of binary data, but only ${rest.length} remain`
      throw new BodyError('invalid_value', what)
    }
    const bytes = rest.subarray(0, binarySize)
    rest = rest.subarray(binarySize)
    return fromBinary(head, bytes)
  })
  if (rest.length > 0) throw new BodyError('invalid_value', `${rest.length} bytes follow the last tensor`)
  return {
    id: textOf(answer['id']),
    modelName: textOf(answer['model_name']),
    modelVersion: textOf(answer['model_version']),
    outputs: tensors,
  }
}

/**
 * Returns the values of a numeric tensor as 32-bit floats, for example of FP16 or BF16. Larger types are rounded.
 * @throws TypeError for BYTES
 */
export function toFloat32({ name, datatype, data }: OutputTensor): Float32Array {
  if (datatype === 'BYTES') throw new TypeError(`Tensor "${name}" is BYTES, not numbers.`)
  if (datatype === 'BF16') return fromBfloat16(data)
  if (datatype === 'FP16' && data instanceof Uint16Array) return fromFloat16(data)
  return data instanceof Float32Array ? data : Float32Array.from(data as Iterable<number | bigint>, Number)
}

interface Head {
  readonly name: string
  readonly datatype: TensorDatatype
  readonly shape: readonly number[]
  readonly data: Json | undefined
  readonly binarySize: number | undefined
}

function parsed(json: Uint8Array): JsonObject {
  try {
    // Triton writes the tokens NaN and Infinity.
    const answer = parseJson(json, { nonFinite: true })
    if (isJsonObject(answer)) return answer
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error
    throw new BodyError('json_invalid', error.message)
  }
  throw new BodyError('model_attributes_type', 'it is not a JSON object')
}

function headOf(output: Json): Head {
  const { name, datatype, shape, data, parameters } = isJsonObject(output) ? output : ({} as JsonObject)
  if (typeof name !== 'string') throw new BodyError('string_type', 'an output has no name')
  if (!isDatatype(datatype)) {
    throw new BodyError('unsupported', `output "${name}" has an unknown datatype`)
  }
  if (!Array.isArray(shape) || !shape.every((size) => Number.isSafeInteger(size) && (size as number) >= 0)) {
    throw new BodyError('int_type', `output "${name}" has no valid shape`)
  }
  const size = isJsonObject(parameters) ? (parameters['binary_data_size'] ?? undefined) : undefined
  if (size !== undefined && !(Number.isSafeInteger(size) && (size as number) >= 0)) {
    throw new BodyError('invalid_input', `output "${name}": binary_data_size is not a number of bytes`)
  }
  return { name, datatype, shape: shape as number[], data, binarySize: size as number | undefined }
}

function isDatatype(value: Json | undefined): value is TensorDatatype {
  if (typeof value !== 'string') return false
  return Object.hasOwn(TYPED_ARRAYS, value) || value === 'FP16' || value === 'BF16' || value === 'BYTES'
}

function fromBinary(head: Head, bytes: Uint8Array): OutputTensor {
  const { name, datatype, shape } = head
  const data = datatype === 'BYTES' ? elementsOf(name, bytes) : numbersOf(name, datatype, bytes)
  return counted(head, { name, datatype, shape, data } as OutputTensor)
}

function numbersOf(name: string, datatype: Exclude<TensorDatatype, 'BYTES'>, bytes: Uint8Array): unknown {
  requireLittleEndian()
  const isHalf = datatype === 'FP16' || datatype === 'BF16'
  const Values = isHalf ? Uint16Array : TYPED_ARRAYS[datatype]
  const { BYTES_PER_ELEMENT: width } = Values
  if (bytes.length % width !== 0) {
    throw new BodyError(
      'invalid_value',
      `output "${name}": ${bytes.length} bytes are not whole ${datatype} values`,
    )
  }
  // A typed array needs an aligned offset; the position of a body in its buffer is arbitrary.
  const aligned = bytes.byteOffset % width === 0 ? bytes : new Uint8Array(bytes)
  const place = [aligned.buffer as ArrayBuffer, aligned.byteOffset, bytes.length / width] as const
  return datatype === 'FP16' && Float16Array !== undefined ? new Float16Array(...place) : new Values(...place)
}

function elementsOf(name: string, bytes: Uint8Array): string[] | Uint8Array[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const elements: Uint8Array[] = []
  for (let at = 0; at < bytes.length;) {
    const start = at + 4
    at = start > bytes.length ? Infinity : start + view.getUint32(at, true)
    if (at > bytes.length) throw new BodyError('invalid_value', `output "${name}": an element is truncated`)
    elements.push(bytes.subarray(start, at))
  }
  try {
    return elements.map(utf8Decoder())
  } catch {
    return elements
  }
}

function fromJson(head: Head): OutputTensor {
  const { name, datatype, shape, data: nested } = head
  if (!Array.isArray(nested)) throw new BodyError('missing', `output "${name}" has no data`)
  const values = flatten(nested).values.map((value) => toValue(value, datatype))
  const data = isHalf(datatype)
    ? halvesOf(name, datatype, toTensorData(name, 'FP64', values, 'output') as Float64Array)
    : toTensorData(name, datatype, values, 'output')
  return counted(head, { name, datatype, shape, data } as OutputTensor)
}

// KServe and MLServer write `null` for NaN, and some models return 0 and 1 for BOOL.
function toValue(value: Json, datatype: TensorDatatype): Json {
  if (value === null && FLOATS.has(datatype)) return NaN
  return datatype === 'BOOL' && (value === 0 || value === 1) ? value === 1 : value
}

function halvesOf(name: string, datatype: HalfDatatype, values: Float64Array): Float16Values | Uint16Array {
  const bits = toHalves(`output "${name}"`, datatype, values)
  if (datatype === 'BF16' || Float16Array === undefined) return bits
  return new Float16Array(bits.buffer, 0, bits.length)
}

function counted({ name, shape }: Head, tensor: OutputTensor): OutputTensor {
  if (tensor.data.length === countOf(shape)) return tensor
  const what = `output "${name}" has ${tensor.data.length} values, but its shape is ${printShape(shape)}`
  throw new BodyError('invalid_value', what)
}

function textOf(value: Json | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined
}

// Reads V2 inference responses, with tensors in binary or as JSON, into typed arrays.
import { BodyError } from './body-error.ts'
import { isDatatype, isFloat, TYPED_ARRAYS, type TensorDatatype } from './datatype.ts'
import { splitElements } from './elements.ts'
import { fromBfloat16, fromFloat16 } from './float16.ts'
import { isJsonObject, JsonSyntaxError, parseJson, type Json, type JsonObject } from './json.ts'
import { rawOf, viewOf, type ArrayType } from './raw-tensor.ts'
import { countOf, flatten, printShape, toTensorData } from './tensor.ts'
import type { Float16Values, ValuesOf } from './typed-tensor.ts'
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

const { Float16Array } = globalThis as { Float16Array?: ArrayType<Float16Values> }

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
  if (!Array.isArray(outputs)) throw new BodyError('missing', 'it has no "outputs" list')
  // In Node.js, the body may be a Buffer. Its slices would also be Buffers, not plain Uint8Arrays.
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
 * Returns the values of a numeric tensor, for example FP16 or BF16, as 32-bit floats. Values of larger types are
 * rounded.
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

function fromBinary(head: Head, bytes: Uint8Array): OutputTensor {
  const { name, datatype, shape } = head
  const data = datatype === 'BYTES' ? elementsOf(name, bytes) : numbersOf(name, datatype, bytes)
  return counted(head, { name, datatype, shape, data } as OutputTensor)
}

function numbersOf(name: string, datatype: Exclude<TensorDatatype, 'BYTES'>, bytes: Uint8Array): unknown {
  const Values = datatype === 'FP16' ? (Float16Array ?? TYPED_ARRAYS.FP16) : TYPED_ARRAYS[datatype]
  if (bytes.length % Values.BYTES_PER_ELEMENT === 0) return viewOf<unknown>(bytes, Values)
  throw new BodyError(
    'invalid_value',
    `output "${name}": ${bytes.length} bytes are not a whole number of ${datatype} values`,
  )
}

function elementsOf(name: string, bytes: Uint8Array): string[] | Uint8Array[] {
  const elements = splitElements(bytes)
  if (elements === undefined) {
    throw new BodyError('invalid_value', `output "${name}": an element is truncated`)
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
  const data = toTensorData(name, datatype, values, 'output')
  const isFloat16 = datatype === 'FP16' && Float16Array !== undefined
  const typed = isFloat16 ? viewOf(rawOf(data), Float16Array) : data
  return counted(head, { name, datatype, shape, data: typed } as OutputTensor)
}

// KServe and MLServer write `null` for NaN, and some models return 0 and 1 for BOOL.
function toValue(value: Json, datatype: TensorDatatype): Json {
  if (value === null && isFloat(datatype)) return NaN
  return datatype === 'BOOL' && (value === 0 || value === 1) ? value === 1 : value
}

function counted({ name, shape }: Head, tensor: OutputTensor): OutputTensor {
  if (tensor.data.length === countOf(shape)) return tensor
  const what = `output "${name}" has ${tensor.data.length} values, but its shape is ${printShape(shape)}`
  throw new BodyError('invalid_value', what)
}

function textOf(value: Json | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined
}

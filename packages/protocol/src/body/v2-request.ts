// Reads a V2 inference request: validates it as FastAPI does, and creates the model's tensors.
import { isBinary, readBinary } from './binary-tensor.ts'
import { BodyError, type BodyPath } from './body-error.ts'
import { isJsonObject, JsonSyntaxError, parseJson, type Json, type JsonObject } from './json.ts'
import { countOf, flatten, printShape, toTensorData, type Datatype, type Tensor } from './tensor.ts'

/** A tensor of a model's interface. */
interface DeclaredTensor {
  readonly name: string
  readonly datatype: Datatype
}

/** A model's interface: its name, inputs and outputs. */
export interface ModelSignature {
  readonly name: string
  readonly inputs: readonly DeclaredTensor[]
  readonly outputs: readonly { readonly name: string }[]
}

/** A V2 request whose names and datatypes match the model. */
export interface V2Request {
  /** The requester's id. */
  readonly id: string | undefined
  /** One tensor per input of the model, in the model's order. */
  readonly inputs: readonly Tensor[]
  /** The requested outputs, in the order of the request. */
  readonly outputs: readonly { readonly name: string; readonly isBinary: boolean }[]
}

/**
 * Reads a request.
 * @param jsonLength number of JSON bytes before the binary tensors; undefined if the body is only JSON.
 * @throws BodyError `invalid_input` for wrong names and datatypes, `invalid_value` for wrong values, otherwise the
 * code of the violated validation rule.
 */
export function readV2Request(model: ModelSignature, body: Uint8Array, jsonLength?: number): V2Request {
  const binary = new Binary(body, jsonLength ?? body.length)
  const request = readObject(parseBody(binary.json), [])
  const id = request['id'] ?? null
  if (id !== null && typeof id !== 'string') {
    throw new BodyError('string_type', 'Input should be a valid string', ['id'])
  }
  const parameters = readParameters(request['parameters'], ['parameters'])
  const inputs = readList(request['inputs'], ['inputs']).map((input, index) =>
    readInput(model, readObject(input, ['inputs', index]), ['inputs', index], binary),
  )
  const everyOutput = model.outputs.map(({ name }) => ({
    name,
    isBinary: parameters['binary_data_output'] === true,
  }))
  const requested = request['outputs'] ?? null
  const outputs = requested === null ? [] : readList(requested, ['outputs'])
  return {
    id: id ?? undefined,
    inputs: inOrderOf(model, inputs),
    // KServe and Triton: an empty list requests every output. An output that is listed without `binary_data` is JSON,
    // whatever the parameters of the request are.
    outputs:
      outputs.length === 0
        ? everyOutput
        : outputs.map((output, index) => readOutput(model, output, ['outputs', index])),
  }
}

function parseBody(bytes: Uint8Array): Json {
  if (bytes.length === 0) throw new BodyError('missing', 'Field required')
  try {
    return parseJson(bytes, { nonFinite: true })
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error
    throw new BodyError('json_invalid', `JSON decode error: ${error.message}`, [error.offset])
  }
}

/** The bytes after the JSON: the binary data of the inputs, in the order of the inputs. */
class Binary {
  readonly json: Uint8Array
  #rest: Uint8Array

  constructor(body: Uint8Array, jsonLength: number) {
    if (jsonLength > body.length) {
      throw new BodyError(
        'invalid_input',
        `Header inference-header-content-length is ${jsonLength}, but the body has ${body.length} bytes`,
      )
    }
    this.json = body.subarray(0, jsonLength)
    this.#rest = body.subarray(jsonLength)
  }

  take(name: string, size: number): Uint8Array {
    if (size > this.#rest.length) {
      throw new BodyError(
        'invalid_value',
        `input "${name}" declares ${size} bytes of binary data, but only ${this.#rest.length} remain`,
      )
    }
    const taken = this.#rest.subarray(0, size)
    this.#rest = this.#rest.subarray(size)
    return taken
  }
}

function readInput(model: ModelSignature, input: JsonObject, path: BodyPath, binary: Binary): Tensor {
  const given = readString(input['name'], [...path, 'name'])
  const shape = readShape(input['shape'], [...path, 'shape'])
  const datatype = readString(input['datatype'], [...path, 'datatype'])
  const parameters = readParameters(input['parameters'], [...path, 'parameters'])
  const { name, datatype: expected } = declaredInput(model, given)
  // KServe also accepts lower case.
  if (datatype.toUpperCase() !== expected) {
    throw new BodyError(
      'invalid_input',
      `Input "${given}" of model "${model.name}" has datatype ${expected}, not "${datatype}"`,
    )
  }
  const size = parameters['binary_data_size'] ?? null
  const data =
    size === null
      ? fromJson(given, expected, shape, input['data'], [...path, 'data'])
      : readBinary(given, expected, shape, binary.take(given, readSize(size, path)))
  return { name, datatype: expected, shape, data }
}

function fromJson(
  name: string,
  datatype: Datatype,
  shape: readonly number[],
  data: Json | undefined,
  path: BodyPath,
) {
  const { values } = flatten(readList(data, path))
  if (values.length !== countOf(shape)) {
    throw new BodyError(
      'invalid_value',
      `cannot reshape array of size ${values.length} into shape ${printShape(shape)}`,
    )
  }
  return toTensorData(name, datatype, values)
}

/** Accepts `input-0` for a model's only input: KServe's scikit-learn examples use this name for any model. */
function declaredInput(model: ModelSignature, name: string): DeclaredTensor {
  const declared =
    model.inputs.length === 1 ? model.inputs[0] : model.inputs.find((input) => input.name === name)
  if (declared !== undefined) return declared
  throw new BodyError(
    'invalid_input',
    `Model "${model.name}" has no input "${name}"; its inputs are ${listNames(model.inputs)}`,
  )
}

function inOrderOf(model: ModelSignature, tensors: readonly Tensor[]): Tensor[] {
  if (tensors.length > model.inputs.length) {
    throw new BodyError(
      'invalid_input',
      `${tensors.length} inputs given, but model "${model.name}" has ${listNames(model.inputs)}`,
    )
  }
  return model.inputs.map(({ name }) => {
    const tensor = tensors.find((tensor) => tensor.name === name)
    if (tensor === undefined) {
      throw new BodyError('invalid_input', `Input "${name}" of model "${model.name}" is missing`)
    }
    return tensor
  })
}

function readOutput(model: ModelSignature, output: Json, path: BodyPath): V2Request['outputs'][number] {
  const fields = readObject(output, path)
  const name = readString(fields['name'], [...path, 'name'])
  const parameters = readParameters(fields['parameters'], [...path, 'parameters'])
  if (!model.outputs.some((declared) => declared.name === name)) {
    throw new BodyError(
      'invalid_input',
      `Model "${model.name}" has no output "${name}"; its outputs are ${listNames(model.outputs)}`,
    )
  }
  return { name, isBinary: isBinary(parameters) }
}

function listNames(tensors: ModelSignature['outputs']): string {
  return tensors.map(({ name }) => `"${name}"`).join(', ')
}

function readShape(value: Json | undefined, path: BodyPath): number[] {
  return readList(value, path).map((dimension, axis) => {
    if (typeof dimension !== 'number' || !Number.isInteger(dimension)) {
      throw new BodyError('int_type', 'Input should be a valid integer', [...path, axis])
    }
    // The Open Inference Protocol requires concrete shapes; numpy would accept -1. 2^31 is the engine's limit.
    if (dimension < 0 || dimension >= 2 ** 31) {
      throw new BodyError('invalid_input', `shape[${axis}] is ${dimension}, not a size from 0 to 2147483647`)
    }
    return dimension
  })
}

function readSize(size: Json, path: BodyPath): number {
  if (typeof size === 'number' && Number.isSafeInteger(size) && size >= 0) return size
  throw new BodyError('invalid_input', `${path.join('.')}: binary_data_size is not a number of bytes`)
}

function readParameters(value: Json | undefined, path: BodyPath): JsonObject {
  if (value === undefined || value === null) return {}
  const parameters = readObject(value, path)
  for (const [name, parameter] of Object.entries(parameters)) {
    if (typeof parameter === 'object' && parameter !== null) {
      throw new BodyError('scalar_type', 'Input should be a string, a number or a boolean', [...path, name])
    }
  }
  return parameters
}

function readObject(value: Json | undefined, path: BodyPath): JsonObject {
  if (isJsonObject(value)) return value
  throw new BodyError('model_attributes_type', 'Input should be a valid dictionary or object', path)
}

function readList(value: Json | undefined, path: BodyPath): Json[] {
  if (Array.isArray(value)) return value
  throw value === undefined
    ? new BodyError('missing', 'Field required', path)
    : new BodyError('list_type', 'Input should be a valid list', path)
}

function readString(value: Json | undefined, path: BodyPath): string {
  if (typeof value === 'string') return value
  throw value === undefined
    ? new BodyError('missing', 'Field required', path)
    : new BodyError('string_type', 'Input should be a valid string', path)
}

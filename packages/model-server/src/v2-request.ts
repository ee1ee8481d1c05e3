// Reads a V2 inference request: checks its form as FastAPI would, and makes tensors for the model.
import { randomUUID } from 'node:crypto'
import { isBinary, readBinary } from './binary-tensor.ts'
import { Failure } from './failure.ts'
import { isJsonObject, JsonSyntaxError, parseJson, type Json, type JsonObject } from './json.ts'
import type { Model } from './model.ts'
import { countOf, flatten, printShape, toTensorData, type Datatype, type Tensor } from './tensor.ts'

/** A V2 request that fits the model by names and datatypes. */
export interface V2Request {
  /** The requester's id, or a new UUID, as KServe's stock helpers do. */
  readonly id: string
  /** One tensor per input of the model, in the model's order. */
  readonly inputs: readonly Tensor[]
  /** What to answer, in the order of the request. */
  readonly outputs: readonly { readonly name: string; readonly isBinary: boolean }[]
}

type Path = readonly (string | number)[]

/**
 * Reads a request.
 * @param jsonLength bytes of JSON before the binary tensors; undefined when the body is JSON alone.
 * @throws Failure 422 on a wrong form, 400 on wrong names and datatypes, 500 `ValueError` on wrong values.
 */
export function readV2Request(model: Model, body: Uint8Array, jsonLength?: number): V2Request {
  const binary = new Binary(body, jsonLength ?? body.length)
  const request = readObject(parseBody(binary.json), [])
  const id = request['id'] ?? null
  if (id !== null && typeof id !== 'string') {
    throw Failure.unprocessable('string_type', ['id'], 'Input should be a valid string')
  }
  const parameters = readParameters(request['parameters'], ['parameters'])
  const inputs = readList(request['inputs'], ['inputs']).map((input, index) =>
    readInput(model, readObject(input, ['inputs', index]), ['inputs', index], binary),
  )
  const everyOutput = model.outputs.map(({ name }) => ({
    name,
    isBinary: parameters['binary_data_output'] === true,
  }))
  const outputs = request['outputs'] ?? null
  return {
    id: id ?? randomUUID(),
    inputs: inOrderOf(model, inputs),
    // KServe and Triton: an output that is listed without `binary_data` is JSON, whatever the request asks for.
    outputs:
      outputs === null
        ? everyOutput
        : readList(outputs, ['outputs']).map((output, index) =>
            readOutput(model, output, ['outputs', index]),
          ),
  }
}

function parseBody(bytes: Uint8Array): Json {
  if (bytes.length === 0) throw Failure.unprocessable('missing', [], 'Field required')
  try {
    return parseJson(bytes, { nonFinite: true })
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error
    throw Failure.unprocessable('json_invalid', [error.offset], `JSON decode error: ${error.message}`)
  }
}

/** The bytes after the JSON, taken by the inputs in their order. */
class Binary {
  readonly json: Uint8Array
  #rest: Uint8Array

  constructor(body: Uint8Array, jsonLength: number) {
    if (jsonLength > body.length) {
      throw Failure.invalidInput(
        `Header inference-header-content-length is ${jsonLength}, but the body has ${body.length} bytes`,
      )
    }
    this.json = body.subarray(0, jsonLength)
    this.#rest = body.subarray(jsonLength)
  }

  take(name: string, size: number): Uint8Array {
    if (size > this.#rest.length) {
      throw Failure.raised(
        'ValueError',
        `input "${name}" announces ${size} bytes of binary data, but ${this.#rest.length} are left`,
      )
    }
    const taken = this.#rest.subarray(0, size)
    this.#rest = this.#rest.subarray(size)
    return taken
  }
}

function readInput(model: Model, input: JsonObject, path: Path, binary: Binary): Tensor {
  const given = readString(input['name'], [...path, 'name'])
  const shape = readShape(input['shape'], [...path, 'shape'])
  const datatype = readString(input['datatype'], [...path, 'datatype'])
  const parameters = readParameters(input['parameters'], [...path, 'parameters'])
  const { name, datatype: expected } = declaredInput(model, given)
  // KServe takes lower case too.
  if (datatype.toUpperCase() !== expected) {
    throw Failure.invalidInput(
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
  path: Path,
) {
  const { values } = flatten(readList(data, path))
  if (values.length !== countOf(shape)) {
    throw Failure.raised(
      'ValueError',
      `cannot reshape array of size ${values.length} into shape ${printShape(shape)}`,
    )
  }
  return toTensorData(name, datatype, values)
}

/** KServe's scikit-learn examples call the only input `input-0`, whatever the model calls it. */
function declaredInput(model: Model, name: string): Model['inputs'][number] {
  const declared =
    model.inputs.length === 1 ? model.inputs[0] : model.inputs.find((input) => input.name === name)
  if (declared !== undefined) return declared
  throw Failure.invalidInput(
    `Model "${model.name}" has no input "${name}"; its inputs are ${listNames(model.inputs)}`,
  )
}

function inOrderOf(model: Model, tensors: readonly Tensor[]): Tensor[] {
  if (tensors.length > model.inputs.length) {
    throw Failure.invalidInput(
      `${tensors.length} inputs given, but model "${model.name}" has ${listNames(model.inputs)}`,
    )
  }
  return model.inputs.map(({ name }) => {
    const tensor = tensors.find((tensor) => tensor.name === name)
    if (tensor === undefined) {
      throw Failure.invalidInput(`Input "${name}" of model "${model.name}" is missing`)
    }
    return tensor
  })
}

function readOutput(model: Model, output: Json, path: Path): V2Request['outputs'][number] {
  const fields = readObject(output, path)
  const name = readString(fields['name'], [...path, 'name'])
  const parameters = readParameters(fields['parameters'], [...path, 'parameters'])
  if (!model.outputs.some((declared) => declared.name === name)) {
    throw Failure.invalidInput(
      `Model "${model.name}" has no output "${name}"; its outputs are ${listNames(model.outputs)}`,
    )
  }
  return { name, isBinary: isBinary(parameters) }
}

function listNames(tensors: Model['inputs']): string {
  return tensors.map(({ name }) => `"${name}"`).join(', ')
}

function readShape(value: Json | undefined, path: Path): number[] {
  return readList(value, path).map((dimension, axis) => {
    if (typeof dimension !== 'number' || !Number.isInteger(dimension)) {
      throw Failure.unprocessable('int_type', [...path, axis], 'Input should be a valid integer')
    }
    // The Open Inference Protocol wants concrete shapes; numpy would take -1. 2^31 is the engine's limit.
    if (dimension < 0 || dimension >= 2 ** 31) {
      throw Failure.invalidInput(`shape[${axis}] is ${dimension}, not a size from 0 to 2147483647`)
    }
    return dimension
  })
}

function readSize(size: Json, path: Path): number {
  if (typeof size === 'number' && Number.isSafeInteger(size) && size >= 0) return size
  throw Failure.invalidInput(`${path.join('.')}: binary_data_size is not a number of bytes`)
}

function readParameters(value: Json | undefined, path: Path): JsonObject {
  if (value === undefined || value === null) return {}
  const parameters = readObject(value, path)
  for (const [name, parameter] of Object.entries(parameters)) {
    if (typeof parameter === 'object' && parameter !== null) {
      throw Failure.unprocessable(
        'scalar_type',
        [...path, name],
        'Input should be a string, a number or a boolean',
      )
    }
  }
  return parameters
}

function readObject(value: Json | undefined, path: Path): JsonObject {
  if (isJsonObject(value)) return value
  throw Failure.unprocessable('model_attributes_type', path, 'Input should be a valid dictionary or object')
}

function readList(value: Json | undefined, path: Path): Json[] {
  if (Array.isArray(value)) return value
  throw value === undefined
    ? Failure.unprocessable('missing', path, 'Field required')
    : Failure.unprocessable('list_type', path, 'Input should be a valid list')
}

function readString(value: Json | undefined, path: Path): string {
  if (typeof value === 'string') return value
  throw value === undefined
    ? Failure.unprocessable('missing', path, 'Field required')
    : Failure.unprocessable('string_type', path, 'Input should be a valid string')
}

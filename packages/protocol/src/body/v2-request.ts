// Reads a V2 inference request: validates it as FastAPI does, and creates the model's tensors.
import { isBinary, readBinary } from './binary-tensor.ts'
import { BodyError, type BodyPath } from './body-error.ts'
import type { Json, JsonObject } from './json.ts'
import { toTensorData, type Datatype, type Tensor } from './tensor.ts'
import {
  checkOutputs,
  readList,
  readObject,
  readParameters,
  readShape,
  readSize,
  readString,
  readValues,
  V2Body,
} from './v2-fields.ts'

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
  const binary = new V2Body(body, jsonLength ?? body.length)
  const request = readObject(binary.json(), [])
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
        : checkOutputs(outputs.map((output, index) => readOutput(model, output, ['outputs', index]))),
  }
}

function readInput(model: ModelSignature, input: JsonObject, path: BodyPath, binary: V2Body): Tensor {
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
      ? toTensorData(given, expected, readValues(shape, input['data'], [...path, 'data']))
      : readBinary(given, expected, shape, binary.take(given, readSize(size, path)))
  return { name, datatype: expected, shape, data }
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

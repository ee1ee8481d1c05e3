// Reads a V2 inference request for one model: checks it against the model's interface, and creates the model's tensors.
import { BodyError } from './body-error.ts'
import type { Datatype } from './datatype.ts'
import { readInferRequest, type InferRequest, type RequestInput } from './infer-request.ts'
import { readRaw } from './raw-tensor.ts'
import { toTensorData, type Tensor } from './tensor.ts'

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
 * @throws BodyError as `readInferRequest`, `toModelInput` and `fitRequest` do
 */
export function readV2Request(model: ModelSignature, body: Uint8Array, jsonLength?: number): V2Request {
  return fitRequest(
    model,
    readInferRequest(body, jsonLength, true, (input) => toModelInput(model, input)),
  )
}

/**
 * Fits a request to a model. Orders its inputs as the model does.
 * @throws BodyError `invalid_input` if inputs are missing or superfluous, or if the model does not have an output
 */
export function fitRequest(
  model: ModelSignature,
  request: V2Request & Pick<InferRequest<Tensor>, 'isBinary'>,
): V2Request {
  const { id, isBinary } = request
  for (const { name } of request.outputs) {
    if (model.outputs.some((declared) => declared.name === name)) continue
    throw new BodyError(
      'invalid_input',
      `Model "${model.name}" has no output "${name}"; its outputs are ${listNames(model.outputs)}`,
    )
  }
  // As on KServe and Triton, an empty list requests every output.
  const outputs =
    request.outputs.length === 0 ? model.outputs.map(({ name }) => ({ name, isBinary })) : request.outputs
  return {
    id,
    inputs: inOrderOf(model, request.inputs),
    outputs: outputs.map((output) => ({ name: output.name, isBinary: output.isBinary })),
  }
}

/**
 * Returns an input of a request as a tensor of the model.
 * @throws BodyError `invalid_input` for a name or a datatype that the model does not declare, `invalid_value` for wrong
 * values
 */
export function toModelInput(
  model: ModelSignature,
  { name: given, datatype, shape, data }: Omit<RequestInput, 'parameters'>,
): Tensor {
  const { name, datatype: expected } = declaredInput(model, given)
  if (datatype !== expected) {
    throw new BodyError(
      'invalid_input',
      `Input "${given}" of model "${model.name}" has datatype ${expected}, not "${datatype}"`,
    )
  }
  const values =
    'values' in data
      ? toTensorData(given, expected, data.values)
      : readRaw(`input "${given}"`, expected, shape, data.raw)
  return { name, datatype: expected, shape, data: values }
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

function listNames(tensors: ModelSignature['outputs']): string {
  return tensors.map(({ name }) => `"${name}"`).join(', ')
}

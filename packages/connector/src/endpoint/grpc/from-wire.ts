// Converts a ModelInferResponse into a V2 response whose tensors are bytes.
import {
  CONTENTS_LISTS,
  fromWireInteger,
  hasContents,
  rawOf,
  TYPED_ARRAYS,
  type MessageOutput,
  type MessageResponse,
  type Datatype,
  type Parameters,
  type ParameterValue,
  type WireInteger,
  type WireParameter,
  type WireParameters,
} from '@inferwire/protocol'
import type { DecodedResponse, DecodedTensor, PackedContents } from './decode-response.ts'
import { readVarints } from './read-varints.ts'

/** Thrown for a response that contradicts itself. */
export class WireError extends Error {
  override readonly name = 'WireError'
}

/** Converts a response, raw or typed. Raw tensors are not copied. @throws WireError */
export function fromWireResponse(response: DecodedResponse): MessageResponse {
  const { outputs, raw_output_contents: raw } = response
  if (raw.length > 0 && raw.length !== outputs.length) {
    throw new WireError(`${outputs.length} outputs, but ${raw.length} raw_output_contents`)
  }
  return {
    modelName: response.model_name,
    modelVersion: response.model_version,
    id: response.id,
    parameters: fromWireParameters(response.parameters),
    outputs: outputs.map((output, index) => fromWireTensor(output, raw[index])),
  }
}

function fromWireTensor(output: DecodedTensor, raw: Uint8Array | undefined): MessageOutput {
  const { name, datatype, shape } = output
  return {
    name,
    datatype,
    shape,
    parameters: fromWireParameters(output.parameters),
    raw: raw ?? rawOfContents(name, datatype, output.contents),
  }
}

function rawOfContents(name: string, datatype: string, contents: PackedContents): Uint8Array {
  if (!hasContents(datatype))
    throw new WireError(`output "${name}" of datatype "${datatype}" has no raw contents`)
  try {
    return rawOfList(datatype, contents.get(CONTENTS_LISTS[datatype].number) ?? NO_BYTES)
  } catch (error) {
    throw new WireError(`output "${name}": ${(error as Error).message}`)
  }
}

const NO_BYTES = new Uint8Array()

function rawOfList(datatype: Datatype, packed: Uint8Array): Uint8Array {
  // These values are encoded as in raw contents.
  if (datatype === 'FP32' || datatype === 'FP64' || datatype === 'BYTES') return packed
  const halves = readVarints(packed)
  if (datatype === 'INT64' || datatype === 'UINT64') return rawOf(halves)
  const values = new TYPED_ARRAYS[datatype](halves.length / 2)
  for (let index = 0; index < values.length; index++) values[index] = halves[2 * index]!
  return rawOf(values)
}

function fromWireParameters(parameters: WireParameters): Parameters {
  const read = new Map<string, ParameterValue>()
  for (const [name, parameter] of Object.entries(parameters)) {
    const value = fromWireParameter(parameter)
    if (value !== undefined) read.set(name, value)
  }
  return read
}

// An absent member is inherited from the prototype as a default value. Only own members were sent.
function fromWireParameter(parameter: WireParameter): ParameterValue | undefined {
  const has = (name: keyof WireParameter): boolean => Object.hasOwn(parameter, name)
  if (has('bool_param')) return parameter.bool_param
  if (has('int64_param')) return integerOf(parameter.int64_param!)
  if (has('uint64_param')) return integerOf(parameter.uint64_param!)
  if (has('double_param')) return parameter.double_param
  return has('string_param') ? parameter.string_param : undefined
}

function integerOf(integer: WireInteger): ParameterValue {
  const value = fromWireInteger(integer)
  return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value
}

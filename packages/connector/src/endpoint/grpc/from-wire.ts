// Converts a ModelInferResponse into a V2 response whose tensors are bytes.
import {
  rawOf,
  type MessageOutput,
  type MessageResponse,
  type Parameters,
  type ParameterValue,
} from '@inferwire/protocol'
import type { DecodedResponse, DecodedTensor, PackedContents } from './decode-response.ts'
import type { WireParameter, WireParameters } from './inference-proto.ts'
import { readVarints, type WireInteger } from './wire-integer.ts'

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
  const list = LISTS[datatype]
  if (list === undefined)
    throw new WireError(`output "${name}" of datatype "${datatype}" has no raw contents`)
  try {
    return list.rawOf(contents.get(list.field) ?? NO_BYTES)
  } catch (error) {
    throw new WireError(`output "${name}": ${(error as Error).message}`)
  }
}

const NO_BYTES = new Uint8Array()

// The list of each datatype in InferTensorContents. Floating-point numbers are encoded as in raw contents.
const LISTS: Readonly<
  Record<string, { readonly field: number; readonly rawOf: (packed: Uint8Array) => Uint8Array } | undefined>
> = {
  BOOL: { field: 1, rawOf: (packed) => lowsOf(packed, Uint8Array) },
  INT8: { field: 2, rawOf: (packed) => lowsOf(packed, Int8Array) },
  INT16: { field: 2, rawOf: (packed) => lowsOf(packed, Int16Array) },
  INT32: { field: 2, rawOf: (packed) => lowsOf(packed, Int32Array) },
  INT64: { field: 3, rawOf: (packed) => rawOf(readVarints(packed)) },
  UINT8: { field: 4, rawOf: (packed) => lowsOf(packed, Uint8Array) },
  UINT16: { field: 4, rawOf: (packed) => lowsOf(packed, Uint16Array) },
  UINT32: { field: 4, rawOf: (packed) => lowsOf(packed, Uint32Array) },
  UINT64: { field: 5, rawOf: (packed) => rawOf(readVarints(packed)) },
  FP32: { field: 6, rawOf: (packed) => packed },
  FP64: { field: 7, rawOf: (packed) => packed },
  BYTES: { field: 8, rawOf: (elements) => elements },
}

type Integers = Uint8Array | Int8Array | Uint16Array | Int16Array | Uint32Array | Int32Array

function lowsOf(packed: Uint8Array, Values: new (length: number) => Integers): Uint8Array {
  const halves = readVarints(packed)
  const values = new Values(halves.length / 2)
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
  if (has('int64_param')) return integerOf(parameter.int64_param!, (value) => BigInt.asIntN(64, value))
  if (has('uint64_param')) return integerOf(parameter.uint64_param!, (value) => BigInt.asUintN(64, value))
  if (has('double_param')) return parameter.double_param
  return has('string_param') ? parameter.string_param : undefined
}

function integerOf({ low, high }: WireInteger, wrap: (value: bigint) => bigint): ParameterValue {
  const value = wrap((BigInt(high) << 32n) | BigInt(low >>> 0))
  return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value
}

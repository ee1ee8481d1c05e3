// Converts a ModelInferResponse into a V2 response whose tensors are bytes.
import {
  joinElements,
  rawOf,
  type MessageOutput,
  type MessageResponse,
  type Parameters,
  type ParameterValue,
} from '@inferwire/protocol'
import type {
  WireContents,
  WireInteger,
  WireParameter,
  WireParameters,
  WireResponse,
  WireTensor,
} from './inference-proto.ts'

/** Thrown for a response that contradicts itself. */
export class WireError extends Error {
  override readonly name = 'WireError'
}

/** Converts a response, raw or typed. Raw tensors are not copied. @throws WireError */
export function fromWireResponse(response: WireResponse): MessageResponse {
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

function fromWireTensor(output: WireTensor, raw: Uint8Array | undefined): MessageOutput {
  const { name, datatype } = output
  const shape = output.shape.map((size) => (typeof size === 'number' ? size : sizeOf(size)))
  return {
    name,
    datatype,
    shape,
    parameters: fromWireParameters(output.parameters),
    raw: raw ?? rawOfContents(name, datatype, output.contents ?? {}),
  }
}

/** Returns one dimension of a shape; -1 = variable. */
export function sizeOf({ low, high }: WireInteger): number {
  return high * 2 ** 32 + (low >>> 0)
}

function rawOfContents(name: string, datatype: string, contents: WireContents): Uint8Array {
  const read = READERS[datatype]
  if (read === undefined)
    throw new WireError(`output "${name}" of datatype "${datatype}" has no raw contents`)
  return read(contents)
}

// protobufjs returns an empty array for an absent list.
const EMPTY: readonly never[] = []
const READERS: Readonly<Record<string, ((contents: WireContents) => Uint8Array) | undefined>> = {
  BOOL: ({ bool_contents = EMPTY }) => Uint8Array.from(bool_contents, Number),
  INT8: ({ int_contents = EMPTY }) => rawOf(Int8Array.from(int_contents)),
  INT16: ({ int_contents = EMPTY }) => rawOf(Int16Array.from(int_contents)),
  INT32: ({ int_contents = EMPTY }) => rawOf(Int32Array.from(int_contents)),
  INT64: ({ int64_contents = EMPTY }) => rawOfIntegers(int64_contents),
  UINT8: ({ uint_contents = EMPTY }) => Uint8Array.from(uint_contents),
  UINT16: ({ uint_contents = EMPTY }) => rawOf(Uint16Array.from(uint_contents)),
  UINT32: ({ uint_contents = EMPTY }) => rawOf(Uint32Array.from(uint_contents)),
  UINT64: ({ uint64_contents = EMPTY }) => rawOfIntegers(uint64_contents),
  FP32: ({ fp32_contents = EMPTY }) => rawOf(Float32Array.from(fp32_contents)),
  FP64: ({ fp64_contents = EMPTY }) => rawOf(Float64Array.from(fp64_contents)),
  BYTES: ({ bytes_contents = EMPTY }) => joinElements(bytes_contents),
}

function rawOfIntegers(integers: ArrayLike<WireInteger>): Uint8Array {
  const halves = new Int32Array(2 * integers.length)
  for (let index = 0; index < integers.length; index++) {
    halves[2 * index] = integers[index]!.low
    halves[2 * index + 1] = integers[index]!.high
  }
  return rawOf(halves)
}

function fromWireParameters(parameters: WireParameters): Parameters {
  const read = new Map<string, ParameterValue>()
  for (const [name, parameter] of Object.entries(parameters)) {
    const value = fromWireParameter(parameter)
    if (value !== undefined) read.set(name, value)
  }
  return read
}

// Absent members are inherited from the prototype as defaults, so only own members have been sent.
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

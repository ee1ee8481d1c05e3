// Converts a V2 request into a ModelInferRequest.
import {
  Problem,
  isHalf,
  rawOf,
  toContents,
  toWireInteger,
  type MessageInput,
  type MessageRequest,
  type Parameters,
  type ParameterValue,
  type WireParameter,
  type WireParameters,
  type WireRequest,
  type WireTensor,
} from '@inferwire/protocol'

/** The model that a request addresses; the version is empty for the server's default. */
export interface WireModel {
  readonly name: string
  readonly version: string
}

// Each typed value takes about a microsecond to encode.
const TYPED_VALUES_MAX = 10_000
const NO_BYTES: readonly Uint8Array[] = []

/**
 * Converts a request. As in KServe's own client, JSON data is sent typed and binary data raw. All data is sent
 * raw if the request has both kinds of data, or a tensor with many values, or a tensor of type FP16 or BF16 (these
 * types have no typed form). Binary tensors are not copied.
 * @throws Problem `bad_payload` for an integer in the parameters that has more than 64 bits
 */
export function toWireRequest(request: MessageRequest, model: WireModel): WireRequest {
  const isTyped = request.inputs.every(
    ({ data, datatype }) => 'values' in data && data.values.length <= TYPED_VALUES_MAX && !isHalf(datatype),
  )
  return {
    model_name: model.name,
    model_version: model.version,
    id: request.id ?? '',
    parameters: toWireParameters(request.parameters),
    inputs: request.inputs.map((input) => toWireTensor(input, isTyped)),
    outputs: request.outputs.map(({ name, parameters }) => ({
      name,
      parameters: toWireParameters(parameters),
    })),
    raw_input_contents: isTyped
      ? NO_BYTES
      : request.inputs.map(({ data }) => ('raw' in data ? data.raw : rawOf(data.values))),
  }
}

function toWireTensor(
  { name, datatype, shape, parameters, data }: MessageInput,
  isTyped: boolean,
): WireTensor {
  const tensor = { name, datatype, shape, parameters: toWireParameters(parameters) }
  return isTyped && 'values' in data && !isHalf(datatype)
    ? { ...tensor, contents: toContents(datatype, data.values) }
    : tensor
}

const NO_PARAMETERS: WireParameters = {}

function toWireParameters(parameters: Parameters): WireParameters {
  if (parameters.size === 0) return NO_PARAMETERS
  // Without a prototype, `__proto__` is a name like any other.
  const wire = Object.create(null) as Record<string, WireParameter>
  for (const [name, value] of parameters) wire[name] = toWireParameter(name, value)
  return wire
}

function toWireParameter(name: string, value: ParameterValue): WireParameter {
  if (typeof value === 'boolean') return { bool_param: value }
  if (typeof value === 'string') return { string_param: value }
  if (typeof value === 'bigint' || Number.isSafeInteger(value)) {
    const integer = BigInt(value)
    if (integer < -(2n ** 63n) || integer >= 2n ** 64n) {
      const text = `The body is invalid. Parameter "${name.slice(0, 100)}" is ${integer}, an integer of more than 64 bits.`
      throw new Problem('bad_payload', text)
    }
    return integer >= 2n ** 63n
      ? { uint64_param: toWireInteger(integer) }
      : { int64_param: toWireInteger(integer) }
  }
  // If several members of a oneof are sent, a decoder uses the last one that it knows. KServe and MLServer do not know
  // double_param, and would fail on a parameter without a value.
  return { string_param: String(value), double_param: value }
}

// A V2 inference request and response, independent of the model and of the encoding: JSON, binary, gRPC.
import { BodyError, type BodyPath } from './body-error.ts'
import type { Json, JsonObject } from './json.ts'
import { checkRaw, isMessageDatatype, readBinarySize, toValues, type MessageDatatype } from './raw-tensor.ts'
import type { TensorData } from './tensor.ts'
import {
  checkOutputs,
  readList,
  readObject,
  readParameters,
  readShape,
  readString,
  readValues,
  V2Body,
} from './v2-fields.ts'

/** A value of a parameter. */
export type ParameterValue = boolean | number | bigint | string

/** Parameters by name. */
export type Parameters = ReadonlyMap<string, ParameterValue>

/** An input with the number of values that its shape requires. */
export interface MessageInput {
  readonly name: string
  readonly datatype: MessageDatatype
  readonly shape: readonly number[]
  readonly parameters: Parameters
  /**
   * From JSON: the values; FP16 and BF16 as their 16 bits. From a binary body: the tensor's bytes, a view of the body.
   */
  readonly data: { readonly values: TensorData } | { readonly raw: Uint8Array }
}

/** An output that the request names. */
export interface RequestedOutput {
  readonly name: string
  readonly isBinary: boolean
  readonly parameters: Parameters
}

/** A request. The parameters of the binary tensor extension are removed, because they describe the encoding. */
export interface MessageRequest {
  readonly id: string | undefined
  readonly parameters: Parameters
  readonly inputs: readonly MessageInput[]
  /** Empty = every output. */
  readonly outputs: readonly RequestedOutput[]
  /** Whether outputs are binary if `outputs` is empty. */
  readonly isBinary: boolean
}

/**
 * Reads a request.
 * @param jsonLength number of JSON bytes before the binary tensors; undefined if the body is only JSON.
 * @throws BodyError `invalid_input` for names, datatypes and sizes that the protocol does not define, `invalid_value`
 * for wrong values, otherwise the code of the violated validation rule.
 */
export function readMessage(body: Uint8Array, jsonLength?: number): MessageRequest {
  const parts = new V2Body(body, jsonLength ?? body.length)
  // JSON has no NaN (RFC 8259 §6); a binary tensor can contain it.
  const request = readObject(parts.json(false), [])
  const id = request['id'] ?? null
  if (id !== null && typeof id !== 'string') {
    throw new BodyError('string_type', 'Input should be a valid string', ['id'])
  }
  const parameters = readParameters(request['parameters'], ['parameters'])
  const inputs = readList(request['inputs'], ['inputs']).map((input, index) =>
    readInput(readObject(input, ['inputs', index]), ['inputs', index], parts),
  )
  if (parts.bytesLeft > 0) {
    throw new BodyError('invalid_value', `${parts.bytesLeft} bytes after the tensors belong to no input`)
  }
  const outputs = request['outputs'] ?? null
  return {
    id: id ?? undefined,
    parameters: without(parameters, 'binary_data_output'),
    inputs,
    outputs: outputs === null ? [] : checkOutputs(readList(outputs, ['outputs']).map(readOutput)),
    isBinary: parameters['binary_data_output'] === true,
  }
}

function readInput(input: JsonObject, path: BodyPath, parts: V2Body): MessageInput {
  const name = readString(input['name'], [...path, 'name'])
  const shape = readShape(input['shape'], [...path, 'shape'])
  // KServe also accepts lower case.
  const datatype = readString(input['datatype'], [...path, 'datatype']).toUpperCase()
  if (!isMessageDatatype(datatype)) {
    throw new BodyError(
      'invalid_input',
      `Input "${name}" has datatype "${datatype}", which V2 does not define`,
    )
  }
  const given = readParameters(input['parameters'], [...path, 'parameters'])
  const parameters = without(given, 'binary_data_size')
  const size = readBinarySize(given, path)
  if (size === undefined) {
    const values = readValues(shape, input['data'], [...path, 'data'])
    return { name, datatype, shape, parameters, data: { values: toValues(name, datatype, values) } }
  }
  if ((input['data'] ?? null) !== null) {
    throw new BodyError('invalid_input', `Input "${name}" has both data and binary_data_size`)
  }
  const raw = parts.take(name, size)
  checkRaw(`input "${name}"`, datatype, shape, raw)
  return { name, datatype, shape, parameters, data: { raw } }
}

function readOutput(output: Json, index: number): RequestedOutput {
  const path = ['outputs', index]
  const fields = readObject(output, path)
  const name = readString(fields['name'], [...path, 'name'])
  const parameters = readParameters(fields['parameters'], [...path, 'parameters'])
  return {
    name,
    isBinary: parameters['binary_data'] === true,
    parameters: without(parameters, 'binary_data'),
  }
}

function without(parameters: JsonObject, omitted: string): Parameters {
  const kept = new Map<string, ParameterValue>()
  for (const [name, value] of Object.entries(parameters)) {
    if (name !== omitted && value !== null && value !== undefined) kept.set(name, value as ParameterValue)
  }
  return kept
}

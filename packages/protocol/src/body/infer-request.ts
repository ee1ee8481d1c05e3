// Reads a V2 inference request, JSON or binary, for any model. The values of JSON tensors are not converted yet.
import { BodyError, type BodyPath } from './body-error.ts'
import { BodyParts } from './carried-body.ts'
import type { Json, JsonObject } from './json.ts'
import {
  checkOutputs,
  readList,
  readObject,
  readParameters,
  readShape,
  readSize,
  readString,
  readValues,
} from './v2-fields.ts'

/** A value of a parameter. */
export type ParameterValue = boolean | number | bigint | string

/** Parameters by name. */
export type Parameters = ReadonlyMap<string, ParameterValue>

/** An input as the request contains it. */
export interface RequestInput {
  readonly name: string
  /** In upper case; not necessarily a datatype of V2. */
  readonly datatype: string
  readonly shape: readonly number[]
  readonly parameters: Parameters
  /**
   * From JSON: the values, flat, as many as the shape requires. From a binary body: the tensor's bytes, as a view of the
   * body; their number is not checked.
   */
  readonly data: { readonly values: readonly Json[] } | { readonly raw: Uint8Array }
}

/** An output that the request names. */
export interface RequestedOutput {
  readonly name: string
  readonly isBinary: boolean
  readonly parameters: Parameters
}

/** A request. The parameters of the binary tensor extension are removed, because they describe the encoding. */
export interface InferRequest<Input> {
  readonly id: string | undefined
  readonly parameters: Parameters
  readonly inputs: readonly Input[]
  /** Empty = every output. An output that is listed is binary only if its own parameters say so. */
  readonly outputs: readonly RequestedOutput[]
  /** Whether outputs are binary if `outputs` is empty. */
  readonly isBinary: boolean
}

/**
 * Reads a request.
 * @param jsonLength number of JSON bytes before the binary tensors; undefined if the body is only JSON
 * @param nonFinite accepts the tokens NaN, Infinity and -Infinity, which are not JSON (RFC 8259 §6)
 * @param toInput converts an input
 * @throws BodyError `invalid_input` for sizes that the protocol does not define and for outputs that are named twice,
 * `invalid_value` for data that does not match the shape or the body, otherwise the code of the violated validation rule;
 * what `toInput` throws
 */
export function readInferRequest<Input>(
  body: Uint8Array,
  jsonLength: number | undefined,
  nonFinite: boolean,
  toInput: (input: RequestInput) => Input,
): InferRequest<Input> {
  const parts = new BodyParts(body, jsonLength ?? body.length)
  const request = readObject(parts.json(nonFinite), [])
  const id = request['id'] ?? null
  if (id !== null && typeof id !== 'string') {
    throw new BodyError('string_type', 'Input should be a valid string', ['id'])
  }
  const parameters = readParameters(request['parameters'], ['parameters'])
  const inputs = readList(request['inputs'], ['inputs']).map((input, index) =>
    toInput(readInput(readObject(input, ['inputs', index]), ['inputs', index], parts)),
  )
  if (parts.bytesLeft > 0) {
    throw new BodyError(
      'invalid_value',
      `${parts.bytesLeft} bytes after the last tensor do not belong to any input`,
    )
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

function readInput(input: JsonObject, path: BodyPath, parts: BodyParts): RequestInput {
  const name = readString(input['name'], [...path, 'name'])
  const shape = readShape(input['shape'], [...path, 'shape'])
  // KServe also accepts lower case.
  const datatype = readString(input['datatype'], [...path, 'datatype']).toUpperCase()
  const given = readParameters(input['parameters'], [...path, 'parameters'])
  const head = { name, datatype, shape, parameters: without(given, 'binary_data_size') }
  const size = given['binary_data_size'] ?? null
  if (size === null) {
    return { ...head, data: { values: readValues(shape, input['data'], [...path, 'data']) } }
  }
  if ((input['data'] ?? null) !== null) {
    throw new BodyError('invalid_input', `Input "${name}" has both data and binary_data_size`)
  }
  return { ...head, data: { raw: parts.take(name, readSize(size, path)) } }
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

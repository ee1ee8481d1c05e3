// Reads the parts of a V2 inference request. The error codes are those of FastAPI's validation errors.
import { BodyError, type BodyPath } from './body-error.ts'
import { isJsonObject, type Json, type JsonObject } from './json.ts'
import { countOf, flatten, printShape } from './tensor.ts'

/** Reads `data`: the values of a tensor, nested or flat. @throws BodyError if their number does not match the shape */
export function readValues(
  shape: readonly number[],
  data: Json | undefined,
  path: BodyPath,
): readonly Json[] {
  const { values } = flatten(readList(data, path))
  if (values.length === countOf(shape)) return values
  throw new BodyError(
    'invalid_value',
    `cannot reshape array of size ${values.length} into shape ${printShape(shape)}`,
  )
}

/** Reads a shape: a list of sizes. */
export function readShape(value: Json | undefined, path: BodyPath): number[] {
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

/** Reads `binary_data_size`. */
export function readSize(size: Json, path: BodyPath): number {
  if (typeof size === 'number' && Number.isSafeInteger(size) && size >= 0) return size
  throw new BodyError('invalid_input', `${path.join('.')}: binary_data_size is not a number of bytes`)
}

/** Reads parameters, whose values are scalars; absent or `null` = none. */
export function readParameters(value: Json | undefined, path: BodyPath): JsonObject {
  if (value === undefined || value === null) return {}
  const parameters = readObject(value, path)
  for (const [name, parameter] of Object.entries(parameters)) {
    if (typeof parameter === 'object' && parameter !== null) {
      throw new BodyError('scalar_type', 'Input should be a string, a number or a boolean', [...path, name])
    }
  }
  return parameters
}

/** Reads an object. */
export function readObject(value: Json | undefined, path: BodyPath): JsonObject {
  if (isJsonObject(value)) return value
  throw new BodyError('model_attributes_type', 'Input should be a valid dictionary or object', path)
}

/** Reads a list. */
export function readList(value: Json | undefined, path: BodyPath): Json[] {
  if (Array.isArray(value)) return value
  throw value === undefined
    ? new BodyError('missing', 'Field required', path)
    : new BodyError('list_type', 'Input should be a valid list', path)
}

/** Checks that no output is named twice: the answer would contain it twice. @throws BodyError `invalid_input` */
export function checkOutputs<Output extends { readonly name: string }>(
  outputs: readonly Output[],
): readonly Output[] {
  const names = new Set<string>()
  for (const { name } of outputs) {
    if (names.has(name)) throw new BodyError('invalid_input', `Output "${name}" is requested twice`)
    names.add(name)
  }
  return outputs
}

/** Reads a string. */
export function readString(value: Json | undefined, path: BodyPath): string {
  if (typeof value === 'string') return value
  throw value === undefined
    ? new BodyError('missing', 'Field required', path)
    : new BodyError('string_type', 'Input should be a valid string', path)
}

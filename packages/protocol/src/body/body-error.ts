// The error of a request body, independent of a server's status and error format.

/**
 * - `missing`, `string_type`, `int_type`, `list_type`, `scalar_type`, `model_attributes_type`, `json_invalid`:
 *   the body does not have the form of a request; the codes are those of FastAPI's validation errors
 * - `invalid_input`: a name, a datatype or a size that the model or the protocol does not define
 * - `invalid_value`: values that do not match the datatype or the shape
 * - `too_large`: a body to write that would exceed the given limit
 * - `unsupported`: a valid tensor that this machine cannot read or write
 */
export type BodyErrorCode =
  | 'missing'
  | 'string_type'
  | 'int_type'
  | 'list_type'
  | 'scalar_type'
  | 'model_attributes_type'
  | 'json_invalid'
  | 'invalid_input'
  | 'invalid_value'
  | 'too_large'
  | 'unsupported'

/** Field names and list indexes that lead from the root of the body to a value. */
export type BodyPath = readonly (string | number)[]

/** Thrown for a body that cannot be read. The message quotes the body, so it can be as long as the body. */
export class BodyError extends Error {
  override readonly name = 'BodyError'
  readonly code: BodyErrorCode
  /** Location of the invalid part; empty if it is the whole body, and for codes without a location. */
  readonly path: BodyPath

  constructor(code: BodyErrorCode, message: string, path: BodyPath = []) {
    super(message)
    this.code = code
    this.path = path
  }
}

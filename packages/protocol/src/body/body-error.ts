// The error of a request body, independent of a server's status and error format.

/**
 * - `missing`, `string_type`, `int_type`, `list_type`, `scalar_type`, `model_attributes_type`, `json_invalid`:
 *   the body does not have the form of a request; the names are those of FastAPI's validation errors
 * - `invalid_input`: a name, a datatype or a size that the model or the protocol does not have
 * - `invalid_value`: values that do not fit the datatype or the shape
 * - `unsupported`: correct, but this machine cannot read or write it
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
  | 'unsupported'

/** Names of fields and positions in lists, from the root of the body. */
export type BodyPath = readonly (string | number)[]

/** A body that cannot be read. The message quotes the body, so it can be as long as the body. */
export class BodyError extends Error {
  override readonly name = 'BodyError'
  readonly code: BodyErrorCode
  /** Location of the invalid part; empty for the whole body and for other codes. */
  readonly path: BodyPath

  constructor(code: BodyErrorCode, message: string, path: BodyPath = []) {
    super(message)
    this.code = code
    this.path = path
  }
}

// What is wrong with a request body, apart from the status and the form in which a server reports it.

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

/** A body that cannot be read. The message repeats values of the body, so it can be as long as the body. */
export class BodyError extends Error {
  override readonly name = 'BodyError'
  readonly code: BodyErrorCode
  /** Where a wrong form is; empty for the body as a whole, and for the other codes. */
  readonly path: BodyPath

  constructor(code: BodyErrorCode, message: string, path: BodyPath = []) {
    super(message)
    this.code = code
    this.path = path
  }
}

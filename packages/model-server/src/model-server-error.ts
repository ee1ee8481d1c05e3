// Why the server could not be started: for the person who starts it, with the file and what to do.

/** What went wrong at start. */
export type ModelServerErrorCode =
  | 'invalid_model_name'
  | 'duplicate_model_name'
  | 'model_file_unreadable'
  | 'invalid_model'
  | 'unsupported_model'
  | 'engine_unavailable'
  | 'listen_failed'

/** The server does not start; the message says what was attempted, what happened and what to do. */
export class ModelServerError extends Error {
  override readonly name = 'ModelServerError'
  readonly code: ModelServerErrorCode

  constructor(code: ModelServerErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
  }
}

// Errors that prevent the server from starting, with the file and the remedy.

/** Reason why the server did not start. */
export type ModelServerErrorCode =
  | 'invalid_model_name'
  | 'duplicate_model_name'
  | 'model_file_unreadable'
  | 'invalid_model'
  | 'unsupported_model'
  | 'engine_unavailable'
  | 'listen_failed'
  | 'grpc_listen_failed'

/** Thrown if the server cannot start; the message contains the attempt, the failure and the remedy. */
export class ModelServerError extends Error {
  override readonly name = 'ModelServerError'
  readonly code: ModelServerErrorCode

  constructor(code: ModelServerErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
  }
}

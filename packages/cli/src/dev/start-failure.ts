// Why `inferwire dev` could not start, with the exit code that fits.
import { CliError } from '../cli-error.ts'
import { EXIT } from '../exit-code.ts'

const BY_MODEL_SERVER_CODE: Readonly<Record<string, number>> = {
  invalid_model_name: EXIT.usage,
  duplicate_model_name: EXIT.usage,
  model_file_unreadable: EXIT.missingFile,
  invalid_model: EXIT.badInput,
  unsupported_model: EXIT.badInput,
}

/** An error of the development stack as one for the user; faults stay what they are. */
export function startFailure(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const code = (error as { code?: unknown }).code
  if (error.name === 'ModelServerError') {
    return failure(BY_MODEL_SERVER_CODE[String(code)] ?? EXIT.unavailable, error)
  }
  // The stack's own errors are plain and say what to do; TypeErrors and the like are ours.
  const isPlain = error.name === 'PortTakenError' || (error.name === 'Error' && code === undefined)
  return isPlain ? failure(EXIT.unavailable, error) : error
}

/** The development stack could not be loaded: as an error for the user where it was not installed. */
export function missingStack(error: unknown): unknown {
  if ((error as { code?: unknown }).code !== 'ERR_MODULE_NOT_FOUND') return error
  return new CliError(
    EXIT.unavailable,
    'the development stack is not installed here: it is an optional package, @inferwire/dev',
    'Install it: npm install @inferwire/dev',
    { cause: error },
  )
}

function failure(exitCode: number, error: Error): CliError {
  return new CliError(exitCode, error.message, 'Options: inferwire dev --help', { cause: error })
}

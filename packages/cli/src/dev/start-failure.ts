// Turns start failures of `inferwire dev` into errors with an exit code.
import { CliError } from '../cli-error.ts'
import { EXIT } from '../exit-code.ts'

const BY_MODEL_SERVER_CODE: Readonly<Record<string, number>> = {
  invalid_model_name: EXIT.usage,
  duplicate_model_name: EXIT.usage,
  model_file_unreadable: EXIT.missingFile,
  invalid_model: EXIT.badInput,
  unsupported_model: EXIT.badInput,
}

/** Converts an error from the development stack to a CliError; returns internal errors unchanged. */
export function startFailure(error: unknown, env: NodeJS.ProcessEnv = process.env): unknown {
  if (!(error instanceof Error)) return error
  const code = (error as { code?: unknown }).code
  if (error.name === 'ModelServerError') {
    return failure(BY_MODEL_SERVER_CODE[String(code)] ?? EXIT.unavailable, error)
  }
  // The stack throws plain Errors with a remedy; a TypeError, for example, is an internal error.
  const isPlain = error.name === 'PortTakenError' || (error.name === 'Error' && code === undefined)
  return isPlain ? failure(EXIT.unavailable, error, helpFor(error, env)) : error
}

function failure(exitCode: number, error: Error, remedy = HELP): CliError {
  return new CliError(exitCode, error.message, remedy, { cause: error })
}

const HELP = 'Help: inferwire dev --help'

// npm passes only the options after `--` to the program.
function helpFor(error: Error, env: NodeJS.ProcessEnv): string {
  const { option } = error as { option?: unknown }
  const isNpmStart = env['npm_lifecycle_event'] === 'start'
  return isNpmStart && typeof option === 'string' ? `With npm: npm start -- ${option} 0` : HELP
}

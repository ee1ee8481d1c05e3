// An error that the user can correct.
import { EXIT } from './exit-code.ts'

/** An error message with its remedy and its exit code. */
export class CliError extends Error {
  override readonly name = 'CliError'
  /** One of `EXIT`. */
  readonly exitCode: number
  /** What to do next; may have several lines. */
  readonly remedy: string

  constructor(exitCode: number, message: string, remedy: string, options?: { readonly cause?: unknown }) {
    super(message, options)
    this.exitCode = exitCode
    this.remedy = remedy
  }
}

/** Creates an error about an invalid option or argument. */
export function usageError(message: string, remedy: string): CliError {
  return new CliError(EXIT.usage, message, remedy)
}

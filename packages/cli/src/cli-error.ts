// An error that the user of the command line can do something about.
import { EXIT } from './exit-code.ts'

/** What went wrong, what to do next, and how the process ends. */
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

/** An option or argument that does not fit. */
export function usageError(message: string, remedy: string): CliError {
  return new CliError(EXIT.usage, message, remedy)
}

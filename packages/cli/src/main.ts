// Runs one command line: parses it, does it, and turns whatever is thrown into words and an exit code.
import { CommanderError, type Command } from 'commander'
import { EXIT } from './exit-code.ts'
import { createProgram } from './program.ts'
import { describeError } from './describe-error.ts'

/** Runs `argv` (without node and script). Leaves the outcome in `process.exitCode`. */
export async function runMain(argv: readonly string[]): Promise<void> {
  watchOutput()
  const program = createProgram()
  makeThrow(program)
  try {
    if (argv.length === 0) {
      program.outputHelp({ error: true })
      process.exitCode = EXIT.usage
      return
    }
    await program.parseAsync([...argv], { from: 'user' })
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage
      return
    }
    const { text, exitCode } = describeError(error)
    process.stderr.write(text)
    process.exitCode = exitCode
  }
}

// Commander would end the process by itself, with codes of its own.
function makeThrow(command: Command): void {
  command
    .exitOverride()
    .showSuggestionAfterError()
    .configureOutput({ outputError: (text, write) => write(usageText(text, command)) })
  for (const child of command.commands) makeThrow(child)
}

// Commander's text, the suggestion on a line of its own, and where to read more.
function usageText(text: string, command: Command): string {
  const names: string[] = []
  for (let at: Command | null = command; at !== null; at = at.parent) names.unshift(at.name())
  return `${text.trimEnd().replaceAll('\n', '\n       ')}\n       Help: ${names.join(' ')} --help\n`
}

function watchOutput(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    // `inferwire models ls | head -1` closes our output; that is no error.
    if (error.code === 'EPIPE') process.exit(EXIT.ok)
    process.stderr.write(`error: standard output cannot be written: ${error.message}\n`)
    process.exit(EXIT.output)
  })
  // No place is left to report it, and a connector whose log disk is full continues to serve.
  process.stderr.on('error', () => {})
}

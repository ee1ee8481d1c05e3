// Runs one command line, and turns errors into a message and an exit code.
import { CommanderError, type Command } from 'commander'
import { commandWords } from './command-words.ts'
import { EXIT } from './exit-code.ts'
import { createProgram } from './program.ts'
import { describeError } from './describe-error.ts'

/** Runs `argv` (without node and script) and sets `process.exitCode`. */
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
    await program.parseAsync([...commandWords(program, argv)], { from: 'user' })
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

// By default Commander exits the process with its own exit codes.
function makeThrow(command: Command): void {
  command
    .exitOverride()
    .showSuggestionAfterError()
    .configureOutput({ outputError: (text, write) => write(usageText(text, command)) })
  for (const child of command.commands) makeThrow(child)
}

// Commander's text with its suggestion on a separate line, and a pointer to the help.
function usageText(text: string, command: Command): string {
  const names: string[] = []
  for (let at: Command | null = command; at !== null; at = at.parent) names.unshift(at.name())
  return `${text.trimEnd().replaceAll('\n', '\n       ')}\n       Help: ${names.join(' ')} --help\n`
}

function watchOutput(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    // `inferwire models ls | head -1` closes standard output early, which is not an error.
    if (error.code === 'EPIPE') process.exit(EXIT.ok)
    process.stderr.write(`error: cannot write to standard output: ${error.message}\n`)
    process.exit(EXIT.output)
  })
  // There is nowhere left to report this, and a connector whose log disk is full must continue to serve.
  process.stderr.on('error', () => {})
}

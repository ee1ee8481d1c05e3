// The examples at the top of a command's help, which are enough for most readers.
import type { Command } from 'commander'

const examples = new WeakMap<Command, readonly (readonly [line: string, comment: string])[]>()

/** Attaches examples to a command; each consists of a command line and the comment above it. */
export function setExamples(command: Command, lines: readonly (readonly [string, string])[]): Command {
  examples.set(command, lines)
  return command
}

/** Returns the examples section of a command's help, or an empty string if the command has no examples. */
export function examplesOf(command: Command): string {
  const lines = examples.get(command) ?? []
  if (lines.length === 0) return ''
  return ['Examples:', ...lines.flatMap(([line, comment]) => [`  # ${comment}`, `  ${line}`]), ''].join('\n')
}

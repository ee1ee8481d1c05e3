// Help leads with examples: most readers need no more.
import type { Command } from 'commander'

const examples = new WeakMap<Command, readonly (readonly [line: string, comment: string])[]>()

/** Attaches the examples that a command's help begins with. */
export function setExamples(command: Command, lines: readonly (readonly [string, string])[]): Command {
  examples.set(command, lines)
  return command
}

/** The text that a command's help begins with; empty where it has no examples. */
export function examplesOf(command: Command): string {
  const lines = examples.get(command) ?? []
  if (lines.length === 0) return ''
  return ['Examples:', ...lines.flatMap(([line, comment]) => [`  # ${comment}`, `  ${line}`]), ''].join('\n')
}

// Finds the command that a command line names, before Commander parses its options.
import type { Command } from 'commander'
import { joinPropertyWords } from './publish-properties.ts'

/**
 * Returns `argv` with `help A B` replaced by `A B --help`. Removes the words after an unknown command, because for
 * `NOPE --help` Commander would show the help of the group. Joins the words of each -D option.
 */
export function commandWords(program: Command, argv: readonly string[]): readonly string[] {
  const path: string[] = []
  let command = program
  let isHelp = false
  for (const word of argv) {
    if (command.commands.length === 0 || word.startsWith('-')) break
    if (word === 'help' && !isHelp) {
      isHelp = true
      continue
    }
    path.push(word)
    const child = command.commands.find((each) => each.name() === word || each.aliases().includes(word))
    if (child === undefined) return path
    command = child
  }
  return isHelp ? [...path, '--help'] : joinPropertyWords(command, argv)
}

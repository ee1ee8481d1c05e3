// The option --priority of the commands that send requests.
import { InvalidArgumentError, type Command } from 'commander'

/** Adds --priority to a command. */
export function addPriorityFlag(command: Command): Command {
  return command.option(
    '--priority <NUMBER>',
    'priority, 0 (lowest) to 9, as far as the policy allows (default: 4)',
    parsePriority,
  )
}

function parsePriority(text: string): string {
  if (/^\d$/.test(text)) return text
  throw new InvalidArgumentError('Expected a whole number from 0 to 9.')
}

// The command tree in the form that the completion scripts need.
import type { Command, Option } from 'commander'

/** One command with its subcommands, options and argument values. */
export interface CompletedCommand {
  /** The names of this command and its parents, without the root. */
  readonly path: readonly string[]
  readonly subcommands: readonly { readonly name: string; readonly description: string }[]
  readonly options: readonly CompletedOption[]
  /** The values of the arguments that accept only listed values. */
  readonly choices: readonly string[]
}

/** One option of a command. */
export interface CompletedOption {
  /** The option's names, for example `-o` and `--output`. */
  readonly names: readonly string[]
  readonly description: string
  readonly takes: 'nothing' | 'file' | 'choice' | 'value'
  readonly choices: readonly string[]
}

/** Returns the root command and all commands below it, parents first. */
export function completedCommands(program: Command): CompletedCommand[] {
  return below(program, [])
}

function below(command: Command, path: readonly string[]): CompletedCommand[] {
  const help = command.createHelp()
  const children = help.visibleCommands(command)
  const own: CompletedCommand = {
    path,
    subcommands: children.map((child) => ({
      name: child.name(),
      description: help.subcommandDescription(child),
    })),
    options: help.visibleOptions(command).map(completedOption),
    choices: command.registeredArguments.flatMap(({ argChoices }) => argChoices ?? []),
  }
  return [own, ...children.flatMap((child) => below(child, [...path, child.name()]))]
}

function completedOption(option: Option): CompletedOption {
  const choices = option.argChoices ?? []
  const takesValue = option.required || option.optional
  const isFile = /<FILE>|=FILE>/.test(option.flags)
  return {
    names: [option.short, option.long].filter((name) => name !== undefined && name !== null),
    description: firstLine(option.description),
    takes: !takesValue ? 'nothing' : choices.length > 0 ? 'choice' : isFile ? 'file' : 'value',
    choices,
  }
}

function firstLine(text: string): string {
  return text.split('\n')[0]!
}

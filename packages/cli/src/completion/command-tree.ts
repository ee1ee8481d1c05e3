// What a shell needs to know about the command tree to complete it.
import type { Command, Option } from 'commander'

/** One command with what can follow it. */
export interface CompletedCommand {
  /** The words from the root to this command, without the root's own name. */
  readonly path: readonly string[]
  readonly subcommands: readonly { readonly name: string; readonly description: string }[]
  readonly options: readonly CompletedOption[]
  /** What the first argument can be, where that is a fixed list. */
  readonly choices: readonly string[]
}

/** One option of a command. */
export interface CompletedOption {
  /** `-o` and `--output`. */
  readonly names: readonly string[]
  readonly description: string
  readonly takes: 'nothing' | 'file' | 'choice' | 'value'
  readonly choices: readonly string[]
}

/** The root command and everything below it, parents first. */
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
      description: firstLine(child.description()),
    })),
    options: help.visibleOptions(command).map(completedOption),
    choices: command.registeredArguments[0]?.argChoices ?? [],
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

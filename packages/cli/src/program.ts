// Builds the command tree of `inferwire`.
import { Command, Help, Option } from 'commander'
import { chatCommand } from './commands/chat.ts'
import { completionCommand } from './commands/completion.ts'
import { configCommand } from './commands/config.ts'
import { connectCommand } from './commands/connect.ts'
import { devCommand } from './commands/dev.ts'
import { doctorCommand } from './commands/doctor.ts'
import { inferCommand } from './commands/infer.ts'
import { manifestsCommand } from './commands/manifests.ts'
import { modelsCommand } from './commands/models.ts'
import { passwdCommand } from './commands/passwd.ts'
import { policyCommand } from './commands/policy.ts'
import { resultCommand } from './commands/result.ts'
import { topicsCommand } from './commands/topics.ts'
import { versionCommand } from './commands/version.ts'
import { examplesOf, setExamples } from './examples.ts'
import { EXIT, EXIT_MEANINGS } from './exit-code.ts'
import { VERSION } from './version.ts'

/** Builds the command tree. An action sets `process.exitCode` or throws. */
export function createProgram(): Command {
  const program: Command = new Command('inferwire')
    .description('KServe inference over MQTT.')
    .version(VERSION, '--version', 'print the version')
    .helpOption('-h, --help', 'show this help')
    .helpCommand('help [command]', 'show the help of a command')
    .configureHelp({ subcommandTerm })
    .addHelpText('beforeAll', ({ command }) => examplesOf(command))
    .addHelpText('after', exitCodesText())
    .addCommand(devCommand())
    .addCommand(connectCommand())
    .addCommand(inferCommand())
    .addCommand(chatCommand())
    .addCommand(resultCommand())
    .addCommand(modelsCommand())
    .addCommand(topicsCommand())
    .addCommand(doctorCommand())
    .addCommand(manifestsCommand())
    .addCommand(configCommand())
    .addCommand(policyCommand())
    .addCommand(passwdCommand())
    .addCommand(completionCommand(() => program))
    .addCommand(versionCommand())
  setExamples(program, [
    ['inferwire dev', 'run broker, model server and connector in one process'],
    ['inferwire connect --model iris=http://127.0.0.1:8080', 'expose a model on the local broker'],
    [`inferwire infer iris -d '{"instances":[[6.8,2.8,4.8,1.4]]}'`, 'send a request to the model'],
  ])
  for (const command of program.commands) nameHelp(command)
  return program
}

// A group lists its subcommands: `models ls|describe`.
function subcommandTerm(command: Command): string {
  const names = command.commands.map((child) => child.name())
  if (names.length === 0) return new Help().subcommandTerm(command)
  return `${command.name()} ${names.join('|')}`
}

// Replaces Commander's wording, unless a command has already replaced it.
function nameHelp(command: Command): void {
  const options = command.createHelp().visibleOptions(command)
  if (options.some(({ description }) => description === 'display help for command')) {
    command.addHelpOption(new Option('-h, --help', 'show this help').helpGroup('Options:'))
  }
  if (command.commands.length === 0) return
  command.helpCommand('help [command]', 'show the help of a command')
  for (const child of command.commands) nameHelp(child)
}

function exitCodesText(): string {
  const rows = (Object.keys(EXIT) as (keyof typeof EXIT)[]).map(
    (name) => `  ${String(EXIT[name]).padEnd(5)}${EXIT_MEANINGS[name]}`,
  )
  return ['', 'Exit codes:', ...rows].join('\n')
}

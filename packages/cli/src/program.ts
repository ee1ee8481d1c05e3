// The command tree: one line per command.
import { Command } from 'commander'
import { completionCommand } from './commands/completion.ts'
import { configCommand } from './commands/config.ts'
import { connectCommand } from './commands/connect.ts'
import { devCommand } from './commands/dev.ts'
import { inferCommand } from './commands/infer.ts'
import { manifestsCommand } from './commands/manifests.ts'
import { modelsCommand } from './commands/models.ts'
import { passwdCommand } from './commands/passwd.ts'
import { topicsCommand } from './commands/topics.ts'
import { versionCommand } from './commands/version.ts'
import { examplesOf, setExamples } from './examples.ts'
import { EXIT, EXIT_MEANINGS } from './exit-code.ts'
import { VERSION } from './version.ts'

/** Builds the whole command tree. Actions set `process.exitCode`, or throw. */
export function createProgram(): Command {
  const program: Command = new Command('inferwire')
    .description('KServe inference over MQTT.')
    .version(VERSION, '--version', 'print the version')
    .helpOption('-h, --help', 'show this help')
    .helpCommand('help [command]', 'show the help of a command')
    .addHelpText('beforeAll', ({ command }) => examplesOf(command))
    .addHelpText('after', exitCodesText())
    .addCommand(devCommand())
    .addCommand(connectCommand())
    .addCommand(inferCommand())
    .addCommand(modelsCommand())
    .addCommand(topicsCommand())
    .addCommand(manifestsCommand())
    .addCommand(configCommand())
    .addCommand(passwdCommand())
    .addCommand(completionCommand(() => program))
    .addCommand(versionCommand())
  setExamples(program, [
    ['inferwire dev', 'everything in one process: broker, models, connector'],
    ['inferwire connect --model iris=http://127.0.0.1:8080', 'serve a model over the broker on this machine'],
    [`inferwire infer iris -d '{"instances":[[6.8,2.8,4.8,1.4]]}'`, 'ask it'],
  ])
  return program
}

function exitCodesText(): string {
  const rows = (Object.keys(EXIT) as (keyof typeof EXIT)[]).map(
    (name) => `  ${String(EXIT[name]).padEnd(5)}${EXIT_MEANINGS[name]}`,
  )
  return ['', 'Exit codes:', ...rows].join('\n')
}

// `inferwire config`
import { Command } from 'commander'
import { setExamples } from '../examples.ts'

interface ConfigFlags {
  readonly config?: string
}

/** The command. */
export function configCommand(): Command {
  return new Command('config')
    .description('Check and see the configuration of the connector.')
    .addCommand(checkCommand())
    .addCommand(printCommand())
    .addCommand(schemaCommand())
}

function checkCommand(): Command {
  const command = withConfigFlag(new Command('check'))
    .description('Say whether a configuration is valid, and everything that is wrong with it.')
    .action(async (flags: ConfigFlags) => {
      const { checkConfig } = await import('../config/check-config.ts')
      checkConfig(flags.config)
    })
  return setExamples(command, [
    ['inferwire config check -c inferwire.yaml', 'exit code 78 when something is wrong'],
  ])
}

function printCommand(): Command {
  const command = withConfigFlag(new Command('print'))
    .description(
      'Print the configuration that counts: file, INFERWIRE_* variables and defaults; secrets as ***.',
    )
    .action(async (flags: ConfigFlags) => {
      const { printEffectiveConfig } = await import('../config/print-config.ts')
      printEffectiveConfig(flags.config)
    })
  return setExamples(command, [['inferwire config print -c inferwire.yaml', 'with every default']])
}

function schemaCommand(): Command {
  const command = new Command('schema')
    .description('Print the JSON Schema of the configuration file, for editors.')
    .action(async () => {
      const { printSchema } = await import('../config/print-schema.ts')
      printSchema()
    })
  return setExamples(command, [
    [
      'inferwire config schema > inferwire.schema.json',
      'name it in the first line of the file: # yaml-language-server: $schema=inferwire.schema.json',
    ],
  ])
}

function withConfigFlag(command: Command): Command {
  return command.option(
    '-c, --config <FILE>',
    'configuration (YAML; env: INFERWIRE_CONFIG); without it: variables and defaults',
  )
}

// Declares `inferwire config`.
import { Command } from 'commander'
import { setExamples } from '../examples.ts'

interface ConfigFlags {
  readonly config?: string
}

/** Builds the command. */
export function configCommand(): Command {
  return new Command('config')
    .summary("check or print the connector's configuration")
    .description("Check or print the connector's configuration.")
    .addCommand(checkCommand())
    .addCommand(printCommand())
    .addCommand(schemaCommand())
}

function checkCommand(): Command {
  const command = withConfigFlag(new Command('check'))
    .summary('check a configuration and list its mistakes')
    .description('Check a configuration and list its mistakes.')
    .action(async (flags: ConfigFlags) => {
      const { checkConfig } = await import('../config/check-config.ts')
      checkConfig(flags.config)
    })
  return setExamples(command, [
    ['inferwire config check -c inferwire.yaml', 'exits with 78 if the configuration is not valid'],
  ])
}

function printCommand(): Command {
  const command = withConfigFlag(new Command('print'))
    .summary('print the effective configuration')
    .description(
      'Print the effective configuration from the file and the INFERWIRE_* variables: first the options that differ from the defaults, then the defaults as comments. Secrets are shown as ***.',
    )
    .action(async (flags: ConfigFlags) => {
      const { printEffectiveConfig } = await import('../config/print-config.ts')
      printEffectiveConfig(flags.config)
    })
  return setExamples(command, [
    ['inferwire config print -c inferwire.yaml', 'print a configuration that can be loaded again'],
  ])
}

function schemaCommand(): Command {
  const command = new Command('schema')
    .summary('print the JSON Schema of the configuration file')
    .description('Print the JSON Schema of the configuration file, for editors.')
    .action(async () => {
      const { printSchema } = await import('../config/print-schema.ts')
      printSchema()
    })
  return setExamples(command, [
    [
      'inferwire config schema > inferwire.schema.json',
      'write the schema; the first line of inferwire.yaml is then: # yaml-language-server: $schema=inferwire.schema.json',
    ],
  ])
}

function withConfigFlag(command: Command): Command {
  return command.option(
    '-c, --config <FILE>',
    'configuration file, YAML (env: INFERWIRE_CONFIG; default: variables and defaults only)',
  )
}

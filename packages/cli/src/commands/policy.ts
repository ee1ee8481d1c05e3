// Declares `inferwire policy`.
import { OPERATIONS } from '@inferwire/protocol'
import { Argument, Command, Option } from 'commander'
import { setExamples } from '../examples.ts'
import type { PolicyTestFlags } from '../policy/test-policy.ts'

/** Builds the command. */
export function policyCommand(): Command {
  return new Command('policy')
    .summary('explain which client may use which model')
    .description('Explain which client may use which model.')
    .addCommand(testCommand())
}

function testCommand(): Command {
  const command = new Command('test')
    .summary('decide whether a client may use a model, and why')
    .description(
      'Decide, as a connector with this configuration does, whether a client may use a model, by which rule and within which limits. Without OPERATION, decide for every operation.\nExit code 77 if the client may not use the operation or, without OPERATION, any operation.',
    )
    .argument('<client>', 'name of the client, which is the user name if the broker has the access rules')
    .argument('<model>', 'name of the model in topics: NAME or NAME@VERSION')
    .addArgument(new Argument('[operation]', 'operation').choices(Object.keys(OPERATIONS)))
    .option('-c, --config <FILE>', 'configuration file, YAML (env: INFERWIRE_CONFIG)')
    .addOption(new Option('-o, --output <FORMAT>', 'output format').choices(['json']))
    .action(async (client: string, model: string, operation: string | undefined, flags: PolicyTestFlags) => {
      const { testPolicy } = await import('../policy/test-policy.ts')
      testPolicy({ client, model, operation }, flags)
    })
  return setExamples(command, [
    ['inferwire policy test line-3 defects -c inferwire.yaml', 'list the operations that line-3 may use'],
    ['inferwire policy test line-3 defects infer -c inferwire.yaml', 'exits with 77 if it may not'],
  ])
}

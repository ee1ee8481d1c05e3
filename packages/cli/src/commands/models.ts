// Declares `inferwire models`.
import { Command, Option } from 'commander'
import { addBrokerFlags, type BrokerFlags } from '../broker-flags.ts'
import { setExamples } from '../examples.ts'

interface ListFlags extends BrokerFlags {
  readonly output?: 'json' | 'wide' | 'name'
}

interface DescribeFlags extends BrokerFlags {
  readonly output?: 'json'
}

/** Builds the command. */
export function modelsCommand(): Command {
  return new Command('models')
    .summary('list and describe models')
    .description('List and describe the models on a broker.')
    .addCommand(listCommand())
    .addCommand(describeCommand())
}

function listCommand(): Command {
  const command = new Command('ls')
    .alias('list')
    .summary('list the models on a broker')
    .description(
      'List the models whose cards are retained on the broker, and show whether a connector serves them now.',
    )
    .addOption(new Option('-o, --output <FORMAT>', 'output format').choices(['json', 'wide', 'name']))
  addBrokerFlags(command).action(async (flags: ListFlags) => {
    const { listModels } = await import('../models/list-models.ts')
    await listModels(flags, flags.output)
  })
  return setExamples(command, [
    ['inferwire models ls', 'list the models on the local broker'],
    [
      'inferwire models ls -h broker.example -u ann --password-file ./password -o wide',
      'list the models on another broker, with more columns',
    ],
  ])
}

function describeCommand(): Command {
  const command = new Command('describe')
    .summary('describe one model')
    .description('Describe one model: operations, tensors, limits, topics and an example.')
    .argument('<model>', 'name of the model')
    .addOption(new Option('-o, --output <FORMAT>', 'json: the card as published').choices(['json']))
  addBrokerFlags(command).action(async (model: string, flags: DescribeFlags) => {
    const { describeModel } = await import('../models/describe-model.ts')
    await describeModel(model, flags, flags.output)
  })
  return setExamples(command, [['inferwire models describe iris', 'show its inputs, outputs and limits']])
}

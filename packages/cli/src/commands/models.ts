// `inferwire models`
import { Command, Option } from 'commander'
import { addBrokerFlags, type BrokerFlags } from '../broker-flags.ts'
import { setExamples } from '../examples.ts'

interface ListFlags extends BrokerFlags {
  readonly output?: 'json' | 'wide' | 'name'
}

interface DescribeFlags extends BrokerFlags {
  readonly output?: 'json'
}

/** The command. */
export function modelsCommand(): Command {
  return new Command('models')
    .description('See which models can be asked.')
    .addCommand(listCommand())
    .addCommand(describeCommand())
}

function listCommand(): Command {
  const command = addBrokerFlags(new Command('ls').alias('list'))
    .description('List the models, from the cards that connectors left on the broker.')
    .addOption(new Option('-o, --output <FORMAT>', 'how to print').choices(['json', 'wide', 'name']))
    .action(async (flags: ListFlags) => {
      const { listModels } = await import('../models/list-models.ts')
      await listModels(flags, flags.output)
    })
  return setExamples(command, [
    ['inferwire models ls', 'on the broker of this machine'],
    [
      'inferwire models ls -h broker.example -u ann --password-file ./password -o wide',
      'elsewhere, with more',
    ],
  ])
}

function describeCommand(): Command {
  const command = addBrokerFlags(new Command('describe'))
    .description('Describe one model: operations, tensors, limits, topics, an example.')
    .argument('<model>', 'name of the model')
    .addOption(new Option('-o, --output <FORMAT>', 'json: the card as it is').choices(['json']))
    .action(async (model: string, flags: DescribeFlags) => {
      const { describeModel } = await import('../models/describe-model.ts')
      await describeModel(model, flags, flags.output)
    })
  return setExamples(command, [['inferwire models describe iris', 'what it takes and gives']])
}

// Declares `inferwire topics`.
import { Command, Option } from 'commander'
import { BROKER_ENV, topicSpace } from '../broker-flags.ts'
import { setExamples } from '../examples.ts'
import { EXIT } from '../exit-code.ts'

interface ExplainFlags {
  readonly config?: string
  readonly root?: string
  readonly output?: 'json'
}

/** Builds the command. */
export function topicsCommand(): Command {
  return new Command('topics')
    .summary('explain topics')
    .description('Explain topics.')
    .addCommand(explainCommand())
}

function explainCommand(): Command {
  const command = new Command('explain')
    .summary('explain the levels of a topic')
    .description('Explain a topic: its client, model and operation, its reply topic, and any mistakes.')
    .argument('<topic>', 'topic name, for example infer/request/cam7/iris/predict')
    .option('-c, --config <FILE>', "a connector's configuration, to show the model server's URL too")
    .option('--root <TOPIC>', `first level of the topics (env: ${BROKER_ENV.root}; default: infer)`)
    .addOption(new Option('-o, --output <FORMAT>', 'output format').choices(['json']))
    .action(explain)
  return setExamples(command, [
    ['inferwire topics explain infer/request/cam7/iris/predict', 'explain a request on this topic'],
    [
      'inferwire topics explain infer/request/cam7/iris/infer/42 -c inferwire.yaml',
      'also show the URL that the connector calls',
    ],
  ])
}

async function explain(topic: string, flags: ExplainFlags): Promise<void> {
  const { explainTopic } = await import('../topics/explain-topic.ts')
  const { formatExplanation } = await import('../topics/format-explanation.ts')
  const config =
    flags.config === undefined
      ? undefined
      : (await import('../config/load-from-file.ts')).loadFromFile(flags.config)
  const root = flags.root ?? config?.root ?? process.env[BROKER_ENV.root] ?? 'infer'
  const explanation = explainTopic(topic, topicSpace(root), config?.models)
  process.stdout.write(
    flags.output === 'json' ? `${JSON.stringify(explanation, null, 2)}\n` : formatExplanation(explanation),
  )
  if (explanation.mistakes.length > 0) process.exitCode = EXIT.badInput
}

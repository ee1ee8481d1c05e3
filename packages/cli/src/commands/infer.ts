// `inferwire infer`
import { OPERATIONS } from '@inferwire/protocol'
import { Command, InvalidArgumentError, Option } from 'commander'
import { addBrokerFlags } from '../broker-flags.ts'
import { setExamples } from '../examples.ts'
import type { InferFlags } from '../infer/run-infer.ts'

/** The command. */
export function inferCommand(): Command {
  const command = addBrokerFlags(new Command('infer'))
    .summary('ask a model and print the answer')
    .description(
      'Ask a model over MQTT and print the answer.\n' +
        "Without a body, on a terminal, the example of the model's card is sent.",
    )
    .argument('<model>', 'name of the model; NAME@VERSION for one version')
    .option('-d, --data <JSON>', 'the body')
    .option('-f, --file <FILE>', 'the body from a file; - is standard input')
    .option(
      '--operation <NAME>',
      `${Object.keys(OPERATIONS).join(', ')} (default: what the body is made for)`,
    )
    .option('--content-type <TYPE>', 'what the body is, when it is not JSON', parseContentType)
    .addOption(
      new Option(
        '-o, --output <FORMAT>',
        'body: its bytes, without a line break behind JSON; json: one object with status, timing and body',
      ).choices(['json', 'body']),
    )
    .option('-v, --verbose', 'say status and timing on standard error, also without a terminal')
    .addOption(
      new Option('--show <TOOL>', 'print the same request for another tool, send nothing').choices([
        'mosquitto',
        'curl',
      ]),
    )
    .option('--url <URL>', 'with --show curl: the model server', 'http://MODEL_SERVER')
    .action(async (model: string, flags: InferFlags) => {
      const { runInfer } = await import('../infer/run-infer.ts')
      await runInfer(model, flags)
    })
  return setExamples(command, [
    [`inferwire infer iris -d '{"instances":[[6.8,2.8,4.8,1.4]]}'`, 'a V1 body: predict'],
    ['inferwire infer iris -f request.json -h broker.example -p 1883', 'a body from a file, another broker'],
    ['inferwire infer iris', "the example of the model's card"],
    [
      `inferwire infer iris -d '{"instances":[[6.8,2.8,4.8,1.4]]}' --show mosquitto`,
      'the same for mosquitto_rr',
    ],
  ])
}

// RFC 9110 §8.3.1, as far as it keeps nonsense off the wire.
function parseContentType(text: string): string {
  if (/^[\w.+*-]+\/[\x20-\x7e]{1,200}$/.test(text)) return text
  throw new InvalidArgumentError('Expected a type such as application/octet-stream.')
}

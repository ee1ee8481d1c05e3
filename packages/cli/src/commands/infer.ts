// Declares `inferwire infer`.
import { OPERATIONS } from '@inferwire/protocol'
import { Command, InvalidArgumentError, Option } from 'commander'
import { addBrokerFlags } from '../broker-flags.ts'
import { setExamples } from '../examples.ts'
import { addPriorityFlag } from '../priority-flag.ts'
import { addPropertyFlag, parseContentType } from '../publish-properties.ts'
import type { InferFlags } from '../infer/run-infer.ts'

/** Builds the command. */
export function inferCommand(): Command {
  const command = new Command('infer')
    .summary('send a request to a model and print the reply')
    .description(
      'Send a request to a model over MQTT and print the reply.\n' +
        "Without a body, and with standard input on a terminal, sends the example from the model's card.",
    )
    .argument('<model>', 'name of the model, or NAME@VERSION')
    .option('-d, --data <JSON>', 'request body')
    .option('-f, --file <FILE>', 'file with the request body; - = standard input')
    .option(
      '--operation <NAME>',
      `${Object.keys(OPERATIONS).join(', ')} (default: derived from the body, else the model's default)`,
    )
    .addOption(
      new Option(
        '--input <NAME=FILE>',
        'tensor from a .npy, .json, .bin, .png or .pgm file (V2); one option for each input of the model',
      ).argParser((spec: string, before: readonly string[] | undefined) => [...(before ?? []), spec]),
    )
    .option('--pixel-max <NUMBER>', 'for images: the value of a white pixel', parsePixelMax, 255)
    .option('--invert', 'for images: black pixels have the largest value, instead of white pixels')
    .option('--content-type <TYPE>', 'content type of a body that is not JSON', parseContentType)
    .option('--no-wait', 'print the id of the request and exit; fetch the reply with: inferwire result ID')
    .addOption(
      new Option(
        '-o, --output <FORMAT>',
        'body: the exact bytes; json: one object with status, timing and body',
      ).choices(['json', 'body']),
    )
    .option('-v, --verbose', 'print status and timing to standard error even if it is not a terminal')
    .addOption(
      new Option('--show <TOOL>', 'print the equivalent command for another tool; send nothing').choices([
        'mosquitto',
        'curl',
      ]),
    )
    .option('--url <URL>', 'model server URL for --show curl', 'http://MODEL_SERVER')
  addPriorityFlag(command)
  addPropertyFlag(command)
  addBrokerFlags(command, {
    meaning: 'how long to wait',
    shown: '10; 600 for a streamed answer, 3600 with --no-wait',
  }).action(async (model: string, flags: InferFlags) => {
    const { runInfer } = await import('../infer/run-infer.ts')
    await runInfer(model, flags)
  })
  return setExamples(command, [
    [`inferwire infer iris -d '{"instances":[[6.8,2.8,4.8,1.4]]}'`, 'predict with a V1 body'],
    [
      'inferwire infer iris -f request.json -h broker.example -p 1883',
      'read the body from a file; use another broker',
    ],
    [
      'inferwire infer digits --input seven.png --pixel-max 16 --invert',
      'send an image as a tensor, in the size of the input',
    ],
    ['inferwire infer iris', "send the example from the model's card"],
    [
      `inferwire infer iris -d '{"instances":[[6.8,2.8,4.8,1.4]]}' --show mosquitto`,
      'print the equivalent mosquitto_rr command',
    ],
  ])
}

function parsePixelMax(text: string): number {
  const number = Number(text)
  if (/^\d{1,9}(?:\.\d{1,9})?$/.test(text) && number > 0) return number
  throw new InvalidArgumentError('Expected a number above 0, such as 255 or 1.')
}

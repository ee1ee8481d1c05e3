// Declares `inferwire result`.
import { Command, Option } from 'commander'
import { addBrokerFlags } from '../broker-flags.ts'
import { setExamples } from '../examples.ts'
import type { ResultFlags } from '../result/run-result.ts'

/** Builds the command. */
export function resultCommand(): Command {
  const command = new Command('result')
    .summary('fetch the reply to a request sent with infer --no-wait')
    .description(
      'Wait for the reply to a request that was sent with infer --no-wait, and print it.\n' +
        'The broker keeps the reply for a day. It can be fetched only once, from the same broker and as the same user.',
    )
    .argument('<id>', 'the id that infer --no-wait printed')
    .addOption(
      new Option(
        '-o, --output <FORMAT>',
        'body: the exact bytes; json: one object with status, timing and body',
      ).choices(['json', 'body']),
    )
    .option('-v, --verbose', 'print status and timing to standard error even if it is not a terminal')
  addBrokerFlags(command).action(async (id: string, flags: ResultFlags) => {
    const { runResult } = await import('../result/run-result.ts')
    await runResult(id, flags)
  })
  return setExamples(command, [
    ['id=$(inferwire infer iris -f request.json --no-wait)', 'send a request without waiting for its reply'],
    ['inferwire result "$id" -t 3600', 'wait up to an hour for the reply'],
  ])
}

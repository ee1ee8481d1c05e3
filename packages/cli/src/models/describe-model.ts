// Runs `inferwire models describe`.
import { writeJson } from '@inferwire/protocol'
import { openClient } from '../broker-client.ts'
import { brokerTarget, type BrokerFlags } from '../broker-flags.ts'
import { indentJson } from '../json-text.ts'
import { formatCard } from './format-cards.ts'

/** Prints a model's card. @throws CliError if there is no such model, InferwireError */
export async function describeModel(
  model: string,
  flags: BrokerFlags,
  output: 'json' | undefined,
): Promise<void> {
  const client = await openClient(brokerTarget(flags, process.env))
  try {
    const card = await client.card(model)
    process.stdout.write(output === 'json' ? `${indentJson(writeJson(card))}\n` : formatCard(card))
  } finally {
    await client.close()
  }
}

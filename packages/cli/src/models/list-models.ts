// Runs `inferwire models ls`.
import { writeJson } from '@inferwire/protocol'
import { openClient } from '../broker-client.ts'
import { brokerTarget, type BrokerFlags } from '../broker-flags.ts'
import { indentJson } from '../json-text.ts'
import { formatCardTable } from './format-cards.ts'

/** Prints the models whose cards are retained on the broker. @throws InferwireError */
export async function listModels(
  flags: BrokerFlags,
  output: 'json' | 'wide' | 'name' | undefined,
): Promise<void> {
  const target = brokerTarget(flags, process.env)
  const client = await openClient(target)
  try {
    const isTable = output === undefined || output === 'wide'
    const [cards, statuses] = await Promise.all([client.cards(), isTable ? client.statuses() : []])
    if (output === 'json') process.stdout.write(`${indentJson(writeJson(cards))}\n`)
    else if (output === 'name') process.stdout.write(cards.map(({ name }) => `${name}\n`).join(''))
    else if (cards.length > 0) process.stdout.write(formatCardTable(cards, statuses, output === 'wide'))
    if (cards.length === 0) {
      const { root } = target.topics
      process.stderr.write(
        `No models. Start a connector with: inferwire connect --model NAME=URL. If one is running, it may use another --root, or this user may lack read access to ${root}/models/#.\n`,
      )
    }
  } finally {
    await client.close()
  }
}

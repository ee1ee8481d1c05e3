// Before a conversation, checks that the model has the operation `chat`.
import type { ReceivedCard } from '@inferwire/protocol'
import { CliError } from '../cli-error.ts'
import { EXIT } from '../exit-code.ts'
import { findCard } from '../models/find-card.ts'

/**
 * Checks a model against the cards that this user may read. Without any card, the model is not checked: its answer
 * will show whether it has `chat`.
 * @throws CliError that names the models with `chat`, or the nearest name
 */
export function checkChatModel(cards: readonly ReceivedCard[], model: string): void {
  if (cards.length === 0) return
  const [name = model] = model.split('@')
  if (findCard(cards, name).operations.includes('chat')) return
  const others = cards.filter(({ operations }) => operations.includes('chat'))
  const names = others.map((card) => card.name).join(', ')
  throw new CliError(
    EXIT.modelError,
    `Model "${name}" has no chat; chat models: ${names || 'none'}`,
    `Its operations are listed by: inferwire models describe ${name}`,
  )
}

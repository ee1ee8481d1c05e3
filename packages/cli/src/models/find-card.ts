// Finds a model's card, or suggests a similar name.
import { nearestName, type ReceivedCard } from '@inferwire/protocol'
import { CliError } from '../cli-error.ts'
import { EXIT } from '../exit-code.ts'

/** Returns the card of `model`. @throws CliError that suggests the nearest name */
export function findCard(cards: readonly ReceivedCard[], model: string): ReceivedCard {
  const card = cards.find(({ name }) => name === model)
  if (card !== undefined) return card
  if (cards.length === 0) {
    throw new CliError(
      EXIT.unavailable,
      `there is no model "${model}": the broker has no retained model cards that this user may read`,
      'Start a connector with: inferwire connect --model NAME=URL (same broker, same --root)',
    )
  }
  const names = cards.map(({ name }) => name)
  const near = nearestName(model, names)
  throw new CliError(
    EXIT.modelError,
    `there is no model "${model}"`,
    near === undefined
      ? `The models are: ${names.join(', ')}.`
      : `Did you mean "${near}"? List all models with: inferwire models ls`,
  )
}

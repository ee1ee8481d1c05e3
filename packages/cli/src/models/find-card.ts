// Finds a model among the cards, or says which one was meant.
import { nearestName, type ReceivedCard } from '@inferwire/protocol'
import { CliError } from '../cli-error.ts'
import { EXIT } from '../exit-code.ts'

/** @throws CliError with the nearest name */
export function findCard(cards: readonly ReceivedCard[], model: string): ReceivedCard {
  const card = cards.find(({ name }) => name === model)
  if (card !== undefined) return card
  if (cards.length === 0) {
    throw new CliError(
      EXIT.unavailable,
      `there is no model "${model}": no connector has left a model card on this broker`,
      'Start one with: inferwire connect --model NAME=URL (same broker, same --root)',
    )
  }
  const names = cards.map(({ name }) => name)
  const near = nearestName(model, names)
  throw new CliError(
    EXIT.modelError,
    `there is no model "${model}" here`,
    near === undefined
      ? `There are: ${names.join(', ')}.`
      : `Did you mean "${near}"? All: inferwire models ls`,
  )
}

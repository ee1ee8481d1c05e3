// The priority of a request: a class from 0 to 9, as in JMS and AMQP 1.0.
import { Problem, PROPERTY, userProperty, type MessageProperties } from '@inferwire/protocol'

/** The highest class. */
export const PRIORITY_MAX = 9
/** The class of a request that sets none (JMS 2.0 §3.4.10, AMQP 1.0 §3.2.1). */
export const PRIORITY_DEFAULT = 4

/**
 * Returns the class that a request sets; undefined if it sets none.
 * @throws Problem `bad_payload` for a value that is not one digit
 */
export function requestedPriority({ userProperties }: MessageProperties): number | undefined {
  const text = userProperty(userProperties, PROPERTY.priority)
  if (text === undefined) return undefined
  if (!/^\d$/.test(text)) {
    throw new Problem(
      'bad_payload',
      `User property "${PROPERTY.priority}" must be a whole number from 0 (lowest) to ${PRIORITY_MAX} (highest).`,
    )
  }
  return Number(text)
}

// Reads the user property `coalesce-ms`, with which a client on a slow link asks for fewer and longer parts.
import { COALESCE_MS_MAX, Problem, PROPERTY, userProperty } from '@inferwire/protocol'

/**
 * Returns the time that the client requests, in milliseconds; undefined if it requests none.
 * @throws Problem `bad_payload`
 */
export function coalesceMsOf(userProperties: readonly string[] | undefined): number | undefined {
  const text = userProperty(userProperties, PROPERTY.coalesceMs)
  if (text === undefined) return undefined
  if (!/^\d{1,9}$/.test(text) || Number(text) > COALESCE_MS_MAX) {
    throw new Problem(
      'bad_payload',
      `User property "${PROPERTY.coalesceMs}" must be a whole number of milliseconds up to ${COALESCE_MS_MAX}.`,
    )
  }
  return Number(text)
}

// Checks the names of MQTT users. `%u` in the access rules stands for the name, as a topic level.
import { isCleanLevel } from '@inferwire/protocol'

// Names that need no escaping in shells, topics, files and logs.
const PLAIN = /^[A-Za-z0-9_.@-]{1,64}$/
const LONE_SURROGATE = /\p{Surrogate}/u

/**
 * Returns the reason why the name cannot be used; undefined if it can. A name must be a single topic level, because
 * `%u` would otherwise span two levels or be a wildcard, and a line of a password file must be able to contain the
 * name.
 */
export function userNameMistake(name: string): string | undefined {
  if (name === '') return 'is empty'
  if (name.includes('/'))
    return 'contains "/": it would span two topic levels, and match topics of other users'
  if (/[+#]/.test(name)) return 'contains a wildcard: Mosquitto denies such a user all access'
  if (name.includes(':')) return 'contains ":", which separates name and password in the file'
  if (!isCleanLevel(name)) return 'is too long, or contains control characters'
  if (LONE_SURROGATE.test(name)) return 'is not valid Unicode'
  if (name !== trimBlanks(name)) return 'begins or ends with white space, which Mosquitto removes'
  return undefined
}

/** Returns whether the name has at most 64 characters, all of them letters, digits and `_ . @ -`. */
export function isPlainUserName(name: string): boolean {
  return PLAIN.test(name)
}

/** Removes leading and trailing white space as Mosquitto does: ASCII white space only, not Unicode. */
export function trimBlanks(text: string): string {
  let start = 0
  let end = text.length
  while (start < end && isBlank(text.charCodeAt(start))) start += 1
  while (end > start && isBlank(text.charCodeAt(end - 1))) end -= 1
  return text.slice(start, end)
}

function isBlank(code: number): boolean {
  return code === 0x20 || (code >= 0x09 && code <= 0x0d)
}

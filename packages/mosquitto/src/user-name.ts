// Which names an MQTT user may have: `%u` in the access rules makes the name a topic level.
import { isCleanLevel } from '@inferwire/protocol'

// Typed the same on every keyboard, and the same in a shell, a topic, a file and a log.
const PLAIN = /^[A-Za-z0-9_.@-]{1,64}$/
const LONE_SURROGATE = /\p{Surrogate}/u

/**
 * Why this cannot be a user: not one clean topic level (`%u` would span two levels or be a wildcard), or nothing
 * that a line of a password file can hold. Undefined for a name that can be used.
 */
export function userNameMistake(name: string): string | undefined {
  if (name === '') return 'is empty'
  if (name.includes('/'))
    return 'contains "/": it would span two topic levels, and reach into other users\' topics'
  if (/[+#]/.test(name)) return 'contains a wildcard: Mosquitto denies such a user everything'
  if (name.includes(':')) return 'contains ":", where the password begins in the file'
  if (!isCleanLevel(name)) return 'is too long, or contains control characters'
  if (LONE_SURROGATE.test(name)) return 'is not valid Unicode'
  if (name !== trimBlanks(name)) return 'begins or ends with white space, which Mosquitto cuts off'
  return undefined
}

/** Whether the name has only letters, digits and `_ . @ -`, at most 64: what needs no care anywhere. */
export function isPlainUserName(name: string): boolean {
  return PLAIN.test(name)
}

/** Text without the white space around it that Mosquitto cuts off: ASCII's, not Unicode's. */
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

// Edits the text of a password file. Lines to which an edit does not apply, including comments, remain unchanged.
import { parsePasswordFile, type PasswordLine, type UserLine } from './password-file.ts'
import { passwordMistake } from './password-hash.ts'
import { userNameMistake } from './user-name.ts'

/** The result of `hashPlainText`. */
export interface HashedFile {
  readonly text: string
  /** The users whose passwords were in plain text. */
  readonly hashed: readonly string[]
}

/** A line that cannot be hashed, and the reason. */
export interface UnhashableLine {
  readonly line: number
  readonly message: string
}

/** Sets a user's hash in the user's first line, or in a new line at the end. Removes further lines of the user. */
export function setUser(text: string, user: string, hash: string): string {
  const line = `${user}:${hash}`
  let isWritten = false
  const lines = parsePasswordFile(text).lines.flatMap((old) => {
    if (!isOf(old, user)) return [old.text]
    if (isWritten) return []
    isWritten = true
    return [line]
  })
  return joined(isWritten ? lines : [...lines, line])
}

/** Removes all lines of the user. Returns undefined if there are none. */
export function deleteUser(text: string, user: string): string | undefined {
  const { lines } = parsePasswordFile(text)
  const kept = lines.filter((line) => !isOf(line, user))
  return kept.length === lines.length ? undefined : joined(kept.map((line) => line.text))
}

/**
 * Returns the lines that `hashPlainText` cannot process because they have no colon, or an invalid user, hash or
 * password.
 */
export function unhashableLines(text: string): UnhashableLine[] {
  return parsePasswordFile(text).lines.flatMap((line) => {
    const message = whyUnhashable(line)
    return message === undefined ? [] : [{ line: line.number, message }]
  })
}

/** Hashes plain-text passwords, and keeps existing hashes. Call `unhashableLines` first. */
export async function hashPlainText(
  text: string,
  hash: (password: string) => Promise<string>,
): Promise<HashedFile> {
  const hashed: string[] = []
  const lines: string[] = []
  for (const line of parsePasswordFile(text).lines) {
    if (line.kind !== 'user' || line.hash !== 'plain_text') {
      lines.push(line.text)
      continue
    }
    hashed.push(line.user)
    lines.push(`${line.user}:${await hash(plainPassword(line))}`)
  }
  return { text: joined(lines), hashed }
}

function whyUnhashable(line: PasswordLine): string | undefined {
  if (line.kind === 'no_colon') return 'has no ":" between user and password'
  if (line.kind !== 'user') return undefined
  const nameMistake = userNameMistake(line.user)
  if (nameMistake !== undefined) return `has a user name that ${nameMistake}`
  if (line.hash === 'plain_text') {
    const mistake = passwordMistake(plainPassword(line))
    return mistake === undefined ? undefined : `has a password that ${mistake}`
  }
  return typeof line.hash === 'string' ? 'begins like a hash, but Mosquitto does not accept it' : undefined
}

// Spaces may be part of a password, so only the carriage return of a CR LF is removed.
function plainPassword({ text }: UserLine): string {
  return text.slice(text.indexOf(':') + 1).replace(/\r$/, '')
}

function isOf(line: PasswordLine, user: string): boolean {
  return line.kind === 'user' && line.user === user
}

function joined(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join('')
}

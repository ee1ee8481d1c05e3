// A password file taken apart as Mosquitto does it: lines `user:hash`, and lines that it skips.
import { parsePasswordHash, verifyPassword, type HashDefect, type PasswordHash } from './password-hash.ts'
import { trimBlanks } from './user-name.ts'

/** One line. */
export type PasswordLine = {
  /** Counted from 1. */
  readonly number: number
  /** As it stands, without the line feed. */
  readonly text: string
} & (
  | { readonly kind: 'blank' | 'comment' | 'no_colon' }
  | {
      readonly kind: 'user'
      readonly user: string
      /** What follows the first colon: a hash, or a password in plain text. */
      readonly secret: string
      readonly hash: PasswordHash | HashDefect
    }
)

/** A line with a user. */
export type UserLine = Extract<PasswordLine, { kind: 'user' }>

/** A whole file. */
export interface PasswordFile {
  readonly lines: readonly PasswordLine[]
  /** Who can log in. Of several lines for one user the last counts, as in Mosquitto. */
  readonly users: ReadonlyMap<string, PasswordHash>
}

/** Takes a file apart; every text is one, whatever is wrong with it is in its lines. */
export function parsePasswordFile(text: string): PasswordFile {
  const texts = text.split('\n')
  // What follows the last line feed is no line of its own.
  if (texts.at(-1) === '') texts.pop()
  const lines = texts.map((line, index) => parseLine(line, index + 1))
  const users = new Map<string, PasswordHash>()
  for (const line of lines) {
    if (line.kind === 'user' && typeof line.hash !== 'string') users.set(line.user, line.hash)
  }
  return { lines, users }
}

/** Whether this user may log in with this password; an unknown one takes as long as a known one. */
export async function verifyLogin(file: PasswordFile, user: string, password: string): Promise<boolean> {
  const hash = file.users.get(user)
  if (hash !== undefined) return await verifyPassword(hash, password)
  const [decoy] = file.users.values()
  if (decoy !== undefined && decoy.algorithm !== 'argon2id') await verifyPassword(decoy, password)
  return false
}

function parseLine(text: string, number: number): PasswordLine {
  if (text.startsWith('#')) return { kind: 'comment', number, text }
  const colon = text.indexOf(':')
  if (colon === -1) return { kind: trimBlanks(text) === '' ? 'blank' : 'no_colon', number, text }
  const secret = trimBlanks(text.slice(colon + 1))
  return {
    kind: 'user',
    number,
    text,
    user: trimBlanks(text.slice(0, colon)),
    secret,
    hash: parsePasswordHash(secret),
  }
}

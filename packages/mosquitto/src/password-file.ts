// Parses a password file as Mosquitto does: lines `user:hash`, and lines that it ignores.
import { parsePasswordHash, verifyPassword, type HashDefect, type PasswordHash } from './password-hash.ts'
import { trimBlanks } from './user-name.ts'

/** A line of the file. */
export type PasswordLine = {
  /** Counted from 1. */
  readonly number: number
  /** The raw line, without the line feed. */
  readonly text: string
} & (
  | { readonly kind: 'blank' | 'comment' | 'no_colon' }
  | {
      readonly kind: 'user'
      readonly user: string
      /** The text after the first colon: a hash, or a password in plain text. */
      readonly secret: string
      readonly hash: PasswordHash | HashDefect
    }
)

/** A line with a user name. */
export type UserLine = Extract<PasswordLine, { kind: 'user' }>

/** A parsed password file. */
export interface PasswordFile {
  readonly lines: readonly PasswordLine[]
  /** The users who can log in. If a user has several lines, the last one applies, as in Mosquitto. */
  readonly users: ReadonlyMap<string, PasswordHash>
}

/** Parses any text; invalid lines are part of the result. */
export function parsePasswordFile(text: string): PasswordFile {
  const texts = text.split('\n')
  // An empty text after the last line feed is not a line.
  if (texts.at(-1) === '') texts.pop()
  const lines = texts.map((line, index) => parseLine(line, index + 1))
  const users = new Map<string, PasswordHash>()
  for (const line of lines) {
    if (line.kind === 'user' && typeof line.hash !== 'string') users.set(line.user, line.hash)
  }
  return { lines, users }
}

/** Returns whether the user can log in with the password. The check takes equally long for an unknown user. */
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

// Runs `inferwire passwd [-c] FILE USER`: sets a user's password.
import { existsSync } from 'node:fs'
import {
  hashPassword,
  isPlainUserName,
  ITERATIONS_ADVISED_MAX,
  parsePasswordFile,
  passwordMistake,
  setUser,
  userNameMistake,
  type HashOptions,
} from '@inferwire/mosquitto'
import { usageError } from '../cli-error.ts'
import { printable } from '../table.ts'
import { askPassword } from './ask-password.ts'
import { note, readFile, readText, writeFile } from './file-access.ts'

/** The parsed options. */
export interface SetOptions {
  readonly create?: true
  readonly hash?: HashOptions['algorithm']
  readonly iterations?: number
  /** The password; undefined = the command prompts for the password. */
  readonly password: string | undefined
}

/** Sets the password. @throws CliError */
export async function setPassword(file: string, user: string, options: SetOptions): Promise<void> {
  const mistake = userNameMistake(user)
  if (mistake !== undefined) {
    throw usageError(
      `user "${user}" ${mistake}`,
      'Choose a name that is one topic level, preferably of letters, digits and _ . @ -',
    )
  }
  // Fails before the prompt if the file cannot be read.
  if (options.create === undefined) readText(file)
  const password = options.password ?? (await askPassword('new'))
  checkPassword(password)
  const hash = await hashPassword(password, hashOptions(options))
  // Reads the file again right before writing, to keep changes that other processes made during the prompt.
  const before = options.create === true ? replacedText(file) : readText(file)
  writeFile(file, setUser(options.create === true ? '' : before, user, hash))
  if (options.create === true && before !== '') {
    const { size } = parsePasswordFile(before).users
    note(`${file} was replaced; it contained ${size === 1 ? '1 user' : `${size} users`}`)
  }
  adviseName(user)
  adviseIterations(options.iterations)
}

/** Converts -H and -I to the options of `hashPassword`. */
export function hashOptions(flags: Pick<SetOptions, 'hash' | 'iterations'>): HashOptions {
  return {
    ...(flags.hash === undefined ? {} : { algorithm: flags.hash }),
    ...(flags.iterations === undefined ? {} : { iterations: flags.iterations }),
  }
}

/** Warns about the delay that many iterations cause in the broker. */
export function adviseIterations(iterations: number | undefined): void {
  if (iterations === undefined || iterations <= ITERATIONS_ADVISED_MAX) return
  note(`${iterations} iterations block the broker for a noticeable time at every CONNECT`)
}

function checkPassword(password: string): void {
  const mistake = passwordMistake(password)
  if (mistake === undefined) return
  throw usageError(`the password ${mistake}`, 'Choose another password.')
}

function replacedText(file: string): string {
  return existsSync(file) ? readFile(file).text : ''
}

function adviseName(user: string): void {
  if (isPlainUserName(user)) return
  note(
    `user "${printable(user)}" has characters other than letters, digits and _ . @ -, or more than 64 characters: the name works, but may need escaping in shells and policies`,
  )
}

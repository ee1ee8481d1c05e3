// Runs `inferwire passwd`: checks the command line, and runs the requested action.
import type { HashAlgorithm } from '@inferwire/mosquitto'
import { usageError } from '../cli-error.ts'
import { setPassword } from './set-password.ts'
import { hashFile } from './hash-file.ts'
import { lintFile } from './lint-file.ts'
import { printManifest } from './print-manifest.ts'
import { removeUser } from './remove-user.ts'
import { verifyUser } from './verify-user.ts'

/** The parsed options. */
export interface PasswdFlags {
  readonly create?: true
  readonly delete?: true
  readonly batch?: true
  readonly hash?: HashAlgorithm
  readonly iterations?: number
  readonly update?: true
  readonly verify?: true
  readonly lint?: true
  readonly configmap?: string
  readonly secret?: string
  readonly namespace?: string
  readonly key?: string
}

/** The parsed arguments. */
export interface PasswdWords {
  readonly file: string
  readonly user: string | undefined
  readonly password: string | undefined
}

const MODES = ['create', 'delete', 'update', 'verify', 'lint', 'configmap', 'secret'] as const
type Mode = (typeof MODES)[number] | 'set'

const FLAG_OF: Readonly<Record<Mode, string>> = {
  set: 'setting a password',
  create: '-c',
  delete: '-D',
  update: '-U',
  verify: '--verify',
  lint: '--lint',
  configmap: '--configmap',
  secret: '--secret',
}

/** Runs the action. @throws CliError */
export async function runPasswd(words: PasswdWords, flags: PasswdFlags): Promise<void> {
  const mode = modeOf(flags)
  checkFlags(mode, flags)
  checkWords(mode, words, flags)
  const { file, password } = words
  const user = words.user ?? ''
  switch (mode) {
    case 'set':
    case 'create':
      return await setPassword(file, user, { ...flags, password })
    case 'delete':
      return removeUser(file, user)
    case 'update':
      return await hashFile(file, flags)
    case 'verify':
      return await verifyUser(file, user, password)
    case 'lint':
      return lintFile(file)
    case 'configmap':
    case 'secret':
      return printManifest(file, flags)
  }
}

function modeOf(flags: PasswdFlags): Mode {
  const given = MODES.filter((mode) => flags[mode] !== undefined)
  const [first, second] = given
  if (second !== undefined) {
    throw usageError(`${FLAG_OF[first!]} and ${FLAG_OF[second]} cannot be combined`, 'Use one of them.')
  }
  return first ?? 'set'
}

function checkFlags(mode: Mode, flags: PasswdFlags): void {
  const isHashing = ['set', 'create', 'update'].includes(mode)
  const isManifest = ['configmap', 'secret'].includes(mode)
  const misplaced = [
    ...(isHashing ? [] : [flags.hash && '-H', flags.iterations && '-I']),
    ...(isManifest ? [] : [flags.namespace && '--namespace', flags.key && '--key']),
  ].find((flag) => flag !== undefined)
  if (misplaced !== undefined) {
    throw usageError(`${misplaced} cannot be combined with ${FLAG_OF[mode]}`, `Remove ${misplaced}.`)
  }
  if (flags.hash === 'sha512' && flags.iterations !== undefined) {
    throw usageError('sha512 has no iterations', 'Remove -I, or -H sha512.')
  }
}

function checkWords(mode: Mode, { user, password }: PasswdWords, { batch }: PasswdFlags): void {
  const takesUser = ['set', 'create', 'delete', 'verify'].includes(mode)
  const takesPassword = takesUser && mode !== 'delete'
  if (takesUser && user === undefined) {
    throw usageError('no user was given', "Add the user's name after the file: inferwire passwd FILE USER")
  }
  if (!takesUser && user !== undefined) {
    throw usageError(`${FLAG_OF[mode]} accepts only a file`, 'Remove the additional arguments.')
  }
  if (batch === true && (!takesPassword || password === undefined)) {
    throw usageError('-b requires a password to set or to verify', 'inferwire passwd -b FILE USER PASSWORD')
  }
  if (password !== undefined && batch !== true) {
    throw usageError(
      'a password was given without -b',
      'Add -b, or remove the password to be prompted for it.',
    )
  }
}

// Runs `inferwire passwd -U FILE`: replaces plain-text passwords with hashes.
import { hashPassword, hashPlainText, unhashableLines, type HashAlgorithm } from '@inferwire/mosquitto'
import { CliError } from '../cli-error.ts'
import { EXIT } from '../exit-code.ts'
import { note, readText, writeFile } from './file-access.ts'
import { adviseIterations, hashOptions } from './set-password.ts'

/**
 * Hashes all plain-text passwords or none; keeps existing hashes. @throws CliError that lists the lines that cannot be
 * hashed
 */
export async function hashFile(
  file: string,
  flags: { readonly hash?: HashAlgorithm; readonly iterations?: number },
): Promise<void> {
  const before = readText(file)
  const wrong = unhashableLines(before)
  if (wrong.length > 0) {
    throw new CliError(
      EXIT.badInput,
      [
        `${file} was not changed. These lines cannot be hashed:`,
        ...wrong.map(({ line, message }) => `line ${line} ${message}`),
      ].join('\n'),
      'Correct them, and run the command again.',
    )
  }
  const { text, hashed } = await hashPlainText(before, (password) =>
    hashPassword(password, hashOptions(flags)),
  )
  if (hashed.length > 0) {
    if (readText(file) !== before) {
      throw new CliError(
        EXIT.temporary,
        `${file} was changed by another program in the meantime`,
        'Run the command again.',
      )
    }
    writeFile(file, text)
  }
  note(`${file}: hashed ${hashed.length === 1 ? '1 password' : `${hashed.length} passwords`}`)
  adviseIterations(flags.iterations)
}

// The password file on disk, with what goes wrong in words for the user.
import { readPasswordFile, writePasswordFile, type StoredPasswordFile } from '@inferwire/mosquitto'
import { CliError } from '../cli-error.ts'
import { EXIT } from '../exit-code.ts'

/** @throws CliError when it cannot be read */
export function readFile(file: string): StoredPasswordFile {
  try {
    return readPasswordFile(file)
  } catch (error) {
    const remedy =
      (error as NodeJS.ErrnoException).code === 'ENOENT'
        ? 'Make it: inferwire passwd -c FILE USER'
        : 'Check the path, and who may read it.'
    throw accessError(file, 'read', error, remedy)
  }
}

/** The text, of a file that is to be changed. @throws CliError when it cannot be read, or is not UTF-8 */
export function readText(file: string): string {
  const { text, isUtf8 } = readFile(file)
  if (isUtf8) return text
  throw new CliError(
    EXIT.badInput,
    `password file "${file}" is not UTF-8: changing it would damage it`,
    'See which lines: inferwire passwd --lint FILE',
  )
}

/** Replaces the file, and says what that changed for others. @throws CliError when it cannot be written */
export function writeFile(file: string, text: string): void {
  try {
    if (writePasswordFile(file, text)) {
      note(`${file} could be read by everybody; now only by its owner, and by its group if it could before`)
    }
  } catch (error) {
    throw accessError(file, 'written', error, 'Check the folder, and who may write to it.')
  }
}

/** One line on standard error. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`)
}

function accessError(file: string, what: string, error: unknown, remedy: string): CliError {
  const message = `password file "${file}" cannot be ${what}: ${(error as Error).message}`
  return new CliError(EXIT.missingFile, message, remedy, { cause: error })
}

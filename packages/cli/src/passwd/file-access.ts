// Reads and writes the password file, with error messages for the user.
import { readPasswordFile, writePasswordFile, type StoredPasswordFile } from '@inferwire/mosquitto'
import { CliError } from '../cli-error.ts'
import { EXIT } from '../exit-code.ts'

/** Reads the file. @throws CliError if it cannot be read */
export function readFile(file: string): StoredPasswordFile {
  try {
    return readPasswordFile(file)
  } catch (error) {
    const remedy =
      (error as NodeJS.ErrnoException).code === 'ENOENT'
        ? 'Create it: inferwire passwd -c FILE USER'
        : 'Check the path and its permissions.'
    throw accessError(file, 'read', error, remedy)
  }
}

/** Returns the text of a file that will be changed. @throws CliError if it cannot be read, or is not UTF-8 */
export function readText(file: string): string {
  const { text, isUtf8 } = readFile(file)
  if (isUtf8) return text
  throw new CliError(
    EXIT.badInput,
    `password file "${file}" is not UTF-8: a change would damage it`,
    'List the lines: inferwire passwd --lint FILE',
  )
}

/** Replaces the file, and prints a note if other users lose access. @throws CliError if it cannot be written */
export function writeFile(file: string, text: string): void {
  try {
    if (writePasswordFile(file, text)) {
      note(
        `${file} was readable by all users; now only its owner can read it, and its group if it already had read access`,
      )
    }
  } catch (error) {
    throw accessError(file, 'written', error, 'Check the permissions of the folder.')
  }
}

/** Writes one line to standard error. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`)
}

function accessError(file: string, what: string, error: unknown, remedy: string): CliError {
  const message = `password file "${file}" cannot be ${what}: ${(error as Error).message}`
  return new CliError(EXIT.missingFile, message, remedy, { cause: error })
}

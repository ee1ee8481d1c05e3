// Runs `inferwire passwd -D FILE USER`: deletes a user.
import { deleteUser } from '@inferwire/mosquitto'
import { CliError } from '../cli-error.ts'
import { EXIT } from '../exit-code.ts'
import { readText, writeFile } from './file-access.ts'

/** Deletes the user. @throws CliError, also if the user is not in the file */
export function removeUser(file: string, user: string): void {
  const text = deleteUser(readText(file), user)
  if (text === undefined) {
    throw new CliError(
      EXIT.badInput,
      `user "${user}" is not in ${file}`,
      'Check the name; nothing was changed.',
    )
  }
  writeFile(file, text)
}

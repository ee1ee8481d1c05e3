// `inferwire passwd -D FILE USER`: a user goes.
import { deleteUser } from '@inferwire/mosquitto'
import { CliError } from '../cli-error.ts'
import { EXIT } from '../exit-code.ts'
import { readText, writeFile } from './file-access.ts'

/** @throws CliError, also when there is no such user */
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

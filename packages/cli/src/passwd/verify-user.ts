// Runs `inferwire passwd --verify FILE USER`: checks a user's password.
import { parsePasswordFile, verifyPassword } from '@inferwire/mosquitto'
import { CliError } from '../cli-error.ts'
import { EXIT } from '../exit-code.ts'
import { askPassword } from './ask-password.ts'
import { readFile } from './file-access.ts'

/** Returns normally if the password is correct. @throws CliError if it is wrong or cannot be verified */
export async function verifyUser(file: string, user: string, given: string | undefined): Promise<void> {
  const { lines, users } = parsePasswordFile(readFile(file).text)
  const hash = users.get(user)
  if (hash === undefined) {
    const isInFile = lines.some((line) => line.kind === 'user' && line.user === user)
    throw isInFile
      ? new CliError(
          EXIT.badInput,
          `user "${user}" has no valid hash in ${file}`,
          'Show the mistakes: inferwire passwd --lint FILE',
        )
      : new CliError(EXIT.notAuthorized, `user "${user}" is not in ${file}`, 'Check the name.')
  }
  if (hash.algorithm === 'argon2id') {
    throw new CliError(
      EXIT.badInput,
      `user "${user}" has an argon2id hash, which cannot be verified here`,
      'Set the password again: inferwire passwd FILE USER',
    )
  }
  if (await verifyPassword(hash, given ?? (await askPassword('known')))) return
  throw new CliError(
    EXIT.notAuthorized,
    `the password of user "${user}" is wrong`,
    'Try again, or set a new password.',
  )
}

// Declares `inferwire passwd`.
import { ITERATIONS_DEFAULT, ITERATIONS_MAX } from '@inferwire/mosquitto'
import { Command, InvalidArgumentError, Option } from 'commander'
import { setExamples } from '../examples.ts'
import type { PasswdFlags } from '../passwd/run-passwd.ts'

/** Builds the command. */
export function passwdCommand(): Command {
  const command = new Command('passwd')
    .summary('create and check the password file of a Mosquitto broker')
    .description(
      'Create and check the password file of a Mosquitto broker, as mosquitto_passwd does.\n' +
        'Without -b the command prompts for the password, or reads it from standard input.',
    )
    .argument('<file>', 'the password file')
    .argument('[user]', 'name of the user: one topic level, preferably of letters, digits and _ . @ -')
    .argument('[password]', 'with -b: the password; other users can see it in the process list')
    .option('-c, --create', 'create the file, or replace an existing one')
    .option('-D, --delete', 'delete the user')
    .option('-b, --batch', 'take the password from the third argument')
    .addOption(
      new Option('-H, --hash <ALGORITHM>', 'hash algorithm (default: sha512-pbkdf2)').choices([
        'sha512-pbkdf2',
        'sha512',
      ]),
    )
    .option(
      '-I, --iterations <N>',
      `iterations of sha512-pbkdf2 (default: ${ITERATIONS_DEFAULT}); the broker runs all of them at every CONNECT`,
      parseIterations,
    )
    .option('-U, --update', 'hash the plain-text passwords in the file')
    .option('--verify', "check the user's password; exit code 77 if it is wrong")
    .option('--lint', 'report mistakes in the file; exit code 65 if any user would be unable to log in')
    .option('--configmap <NAME>', 'print the file as a Kubernetes ConfigMap')
    .option('--secret <NAME>', 'print the file as a Kubernetes Secret')
    .option(
      '--namespace <NAME>',
      'with --configmap or --secret: namespace of the object (default: mosquitto)',
    )
    .option('--key <NAME>', 'with --configmap or --secret: name of the file (default: password.txt)')
    .action(
      async (file: string, user: string | undefined, password: string | undefined, flags: PasswdFlags) => {
        const { runPasswd } = await import('../passwd/run-passwd.ts')
        await runPasswd({ file, user, password }, flags)
      },
    )
  return setExamples(command, [
    ['inferwire passwd -c credentials.txt cam7', 'create a file with one user, and prompt for the password'],
    [
      'inferwire passwd credentials.txt line-3 < password',
      'add a user, and read the password from standard input',
    ],
    ['inferwire passwd --lint credentials.txt', 'check the file'],
    [
      'inferwire passwd --configmap mosquitto-password credentials.txt | kubectl apply -f -',
      'deploy the file to a cluster',
    ],
  ])
}

function parseIterations(text: string): number {
  if (/^[1-9]\d{0,7}$/.test(text) && Number(text) <= ITERATIONS_MAX) return Number(text)
  throw new InvalidArgumentError(`Expected a whole number from 1 to ${ITERATIONS_MAX}.`)
}

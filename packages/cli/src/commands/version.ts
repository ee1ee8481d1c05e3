// Declares `inferwire version`.
import { Command } from 'commander'
import { VERSION } from '../version.ts'

/** Builds the command. */
export function versionCommand(): Command {
  return new Command('version')
    .summary('print the version')
    .description('Print the version.')
    .action(() => {
      process.stdout.write(`${VERSION}\n`)
    })
}

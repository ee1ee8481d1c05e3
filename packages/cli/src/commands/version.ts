// `inferwire version`
import { Command } from 'commander'
import { VERSION } from '../version.ts'

/** The command. */
export function versionCommand(): Command {
  return new Command('version').description('Print the version.').action(() => {
    process.stdout.write(`${VERSION}\n`)
  })
}

// Runs a benchmark as a command: reads its options, and reports its errors.
import { endChildrenWithMe } from './child.mjs'
import { readOptions, usage } from './options.mjs'

/**
 * @param {string} command what the user types before the options
 * @param {Parameters<typeof readOptions>[1]} own the options of this benchmark
 * @param {(options: any) => Promise<void>} main called with the values of the options; `commandLine` is the
 *   whole command line
 */
export async function runCommand(command, own, main) {
  endChildrenWithMe()
  try {
    const args = process.argv.slice(2)
    const options = readOptions(args, own)
    if (options.help) process.stdout.write(usage(command, own))
    else await main({ ...options, commandLine: [command, ...args].join(' ') })
  } catch (error) {
    process.stderr.write(`\n${error.message}\n`)
    process.exitCode = 1
  }
}

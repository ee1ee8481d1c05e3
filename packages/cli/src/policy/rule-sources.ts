// Finds the places of the policy's rules in the configuration file.
import { placeInFile } from '@inferwire/connector'

/** Returns the place of a rule, such as `policy.allow[2]`; undefined without a file. */
export type RuleSource = (path: string) => string | undefined

/** Returns the places in `file`, or in the file that INFERWIRE_CONFIG names. */
export function ruleSources(file: string | undefined): RuleSource {
  const name = file ?? process.env['INFERWIRE_CONFIG']
  return (path) => {
    const [, index] = /\[(\d+)\]$/.exec(path) ?? []
    if (name === undefined || index === undefined) return undefined
    return placeInFile(name, ['policy', 'allow', Number(index)])
  }
}

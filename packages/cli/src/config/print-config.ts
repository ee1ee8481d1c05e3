// `inferwire config print`
import { printConfig } from '@inferwire/connector'
import { loadFromFile } from './load-from-file.ts'

/** Prints the configuration that counts, secrets masked. @throws ConfigError with everything that is wrong */
export function printEffectiveConfig(file: string | undefined): void {
  process.stdout.write(printConfig(loadFromFile(file)))
}

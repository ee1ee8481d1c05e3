// Runs `inferwire config print`.
import { printConfig } from '@inferwire/connector'
import { loadFromFile } from './load-from-file.ts'

/** Prints the effective configuration with secrets masked. @throws ConfigError that lists all mistakes */
export function printEffectiveConfig(file: string | undefined): void {
  process.stdout.write(printConfig(loadFromFile(file)))
}

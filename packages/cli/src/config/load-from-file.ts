// Loads the configuration for `inferwire config` and `topics explain` from the file and the environment, without flags.
import { loadConfig, type ConnectorConfig } from '@inferwire/connector'

/** Loads `file`, or the file named by INFERWIRE_CONFIG. @throws ConfigError that lists all mistakes */
export function loadFromFile(file: string | undefined): ConnectorConfig {
  return loadConfig({ file: file ?? process.env['INFERWIRE_CONFIG'], env: process.env })
}

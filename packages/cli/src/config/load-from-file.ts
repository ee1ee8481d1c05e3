// Loads the configuration that `inferwire config` and `topics explain` talk about: file and environment, no flags.
import { loadConfig, type ConnectorConfig } from '@inferwire/connector'

/** The file is that of -c, else of INFERWIRE_CONFIG. @throws ConfigError with everything that is wrong */
export function loadFromFile(file: string | undefined): ConnectorConfig {
  return loadConfig({ file: file ?? process.env['INFERWIRE_CONFIG'], env: process.env })
}

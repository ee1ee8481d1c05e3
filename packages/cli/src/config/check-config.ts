// Runs `inferwire config check`.
import { configWarnings } from '@inferwire/connector'
import { loadFromFile } from './load-from-file.ts'

/** If the configuration is valid, prints one line and any warnings. @throws ConfigError with all mistakes */
export function checkConfig(file: string | undefined): void {
  const config = loadFromFile(file)
  const models = Object.keys(config.models)
  const list =
    models.length === 0
      ? 'no models'
      : `${models.length} ${models.length === 1 ? 'model' : 'models'} (${models.join(', ')})`
  process.stdout.write(`${file ?? 'The configuration'} is valid: broker ${config.broker.url}, ${list}.\n`)
  for (const { path, message } of configWarnings(config)) {
    process.stderr.write(`warning: ${path}: ${message}\n`)
  }
}

// Checks for settings that are valid but probably not intended.
import { configWarnings } from '@inferwire/connector'
import { notChecked, ok, warning, type Check } from '../check.ts'

export const configurationWarnings: Check = {
  id: 'configuration.warnings',
  title: 'no setting contradicts its purpose',
  needs: ['configuration.file'],
  run: ({ config }) => {
    if ('missing' in config) return notChecked(config.missing)
    const { models, discovery } = config.value
    const warnings = configWarnings(config.value).map(({ path, message }) =>
      warning(`${path}: ${message}`, `Correct ${path}.`),
    )
    if (Object.keys(models).length === 0 && !discovery.enabled) {
      warnings.push(
        warning(
          'No models are configured, so every request is answered with model_not_found.',
          'Add a model:\nmodels:\n  NAME:\n    url: http://HOST:PORT\nOr let the connector find the models of a cluster: discovery.enabled: true',
        ),
      )
    }
    return warnings.length > 0 ? warnings : ok('No setting is suspicious.')
  },
}

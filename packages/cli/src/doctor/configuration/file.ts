// Checks that the configuration can be loaded.
import type { ConfigMistake } from '@inferwire/connector'
import { fault, notChecked, ok, type Check } from '../check.ts'

export const configurationFile: Check = {
  id: 'configuration.file',
  title: 'the configuration is valid',
  needs: [],
  run: ({ configFile, configError, config }) => {
    if (configFile === undefined) {
      return notChecked("the connector's configuration is unknown; add -c FILE")
    }
    if ('value' in config) return ok(`${configFile} is valid.`)
    const mistakes = mistakesOf(configError)
    return mistakes.map(({ path, source, message }) =>
      fault(
        `${source}: ${path === '' ? '' : `${path}: `}${message}`,
        'Correct the option. The page docs/reference/configuration.md describes all options.',
      ),
    )
  },
}

// Errors are recognized by their name, because importing the class would load the connector.
function mistakesOf(error: unknown): readonly ConfigMistake[] {
  if (error instanceof Error && error.name === 'ConfigError') {
    return (error as Error & { readonly mistakes: readonly ConfigMistake[] }).mistakes
  }
  throw error
}

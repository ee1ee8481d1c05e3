// Finds settings that are valid but probably not intended.
import { nearestName } from '@inferwire/protocol'
import { Policy } from './admission/index.ts'
import { exposedNames, shownValue, type ConfigMistake, type ConnectorConfig } from './config/index.ts'

/** A setting that is valid but probably not intended. */
export type ConfigWarning = Omit<ConfigMistake, 'source'>

const NAMES_MAX = 10

/** Returns the warnings about a configuration, for `inferwire config check` and the log. */
export function configWarnings({ models, policy, discovery }: ConnectorConfig): ConfigWarning[] {
  if (policy === undefined) return []
  if (policy.allow.length === 0) {
    return [{ path: 'policy.allow', message: 'is empty: no client may use any model' }]
  }
  const names = Object.entries(models).flatMap(([name, model]) => exposedNames(name, model))
  // Without models, no name can match. The connector warns about the missing models separately.
  if (names.length === 0) return []
  // The pattern may match a model that is found in the cluster.
  if (discovery.enabled) return []
  return policy.allow.flatMap((rule, index) =>
    rule.models.flatMap((pattern, place) => {
      const isMatched = names.some((name) => matches(pattern, name))
      const path = `policy.allow[${index}].models[${place}]`
      return isMatched ? [] : [{ path, message: `${shownValue([], pattern)} ${mismatch(pattern, names)}` }]
    }),
  )
}

function matches(pattern: string, name: string): boolean {
  return new Policy([{ clients: ['*'], models: [pattern] }]).shows('', name)
}

function mismatch(pattern: string, names: readonly string[]): string {
  const nearest = nearestName(pattern, names)
  if (nearest !== undefined) return `matches no model; did you mean "${nearest}"?`
  const rest = names.length > NAMES_MAX ? `, and ${names.length - NAMES_MAX} more` : ''
  return `matches no model; the models are: ${names.slice(0, NAMES_MAX).join(', ')}${rest}`
}

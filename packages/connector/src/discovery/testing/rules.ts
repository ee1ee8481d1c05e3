// Rules for tests: the operator's section with its defaults.
import { loadConfig, type ConfigInput } from '../../config/index.ts'
import { rulesOf, type DiscoveryRules } from '../rules.ts'

/** Returns the rules of a configuration. */
export function rules(
  discovery: NonNullable<ConfigInput['discovery']> = {},
  more: ConfigInput = {},
): DiscoveryRules {
  return rulesOf(loadConfig({ env: {}, flags: { ...more, discovery } }))
}

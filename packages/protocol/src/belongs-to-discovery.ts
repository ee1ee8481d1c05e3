// Decides whether the name of a model belongs to a connector, by the connector's status.
import type { DiscoveryStatus } from './card.ts'

const NAME_IN_NAMESPACE = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.([a-z0-9](?:[a-z0-9-]*[a-z0-9])?)$/
const PLAIN_NAME = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/

/**
 * Returns whether the name is one that discovery gives to the models of the connector's namespaces: `{name}.{namespace}`,
 * or `{name}` with a default namespace. The status does not list these models.
 */
export function belongsToDiscovery(
  { namespaces, default_namespace, aliases }: DiscoveryStatus,
  model: string,
): boolean {
  if (aliases?.includes(model) === true) return true
  if (PLAIN_NAME.test(model)) return default_namespace !== undefined
  const namespace = NAME_IN_NAMESPACE.exec(model)?.[1]
  if (namespace === undefined || namespace === default_namespace) return false
  return namespaces.includes(namespace) || namespaces.includes('*')
}

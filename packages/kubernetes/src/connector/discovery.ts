// The permissions with which the connector finds models in the cluster: none without discovery.
import { labelsOf, type KubernetesObject, type ObjectMeta } from '../object.ts'
import type { Connector } from '../options.ts'
import { valueAt, type ConfigValues } from './config-file.ts'

const APP = 'inferwire'
const API_GROUP = 'rbac.authorization.k8s.io'
const VERBS = ['get', 'list', 'watch']
const DEFAULT_KIND = 'InferenceService'

/** Returns whether the connector reads the API server with its ServiceAccount. */
export function readsCluster(config: ConfigValues): boolean {
  return valueAt(config, 'discovery', 'enabled') === true
}

/**
 * Returns a Role and a RoleBinding in each namespace that `discovery.namespaces` lists. For all namespaces, or for a
 * selector, returns a ClusterRole and a ClusterRoleBinding.
 */
export function discoveryAccess(connector: Connector, config: ConfigValues): KubernetesObject[] {
  if (!readsCluster(config)) return []
  const namespaces = textsOf(valueAt(config, 'discovery', 'namespaces'))
  const hasSelector = valueAt(config, 'discovery', 'namespaceSelector') !== undefined
  const kinds = textsOf(valueAt(config, 'discovery', 'kinds') ?? [DEFAULT_KIND])
  const objects = {
    apiGroups: ['serving.kserve.io'],
    resources: kinds.map((kind) => `${kind.toLowerCase()}s`),
    verbs: VERBS,
  }
  if (!hasSelector && !namespaces.includes('*')) {
    return namespaces.flatMap((namespace) => granted(connector, [objects], namespace))
  }
  const list = { apiGroups: [''], resources: ['namespaces'], verbs: VERBS }
  return granted(connector, hasSelector ? [objects, list] : [objects], undefined)
}

function granted(
  connector: Connector,
  rules: readonly object[],
  namespace: string | undefined,
): KubernetesObject[] {
  // The names of objects outside of namespaces, and in the namespaces of models, must not collide with those of another
  // connector.
  const metadata: ObjectMeta = {
    name: `${connector.name}-${connector.namespace}-discovery`,
    ...(namespace === undefined ? {} : { namespace }),
    labels: labelsOf(APP, connector),
  }
  const kind = namespace === undefined ? 'ClusterRole' : 'Role'
  return [
    { apiVersion: `${API_GROUP}/v1`, kind, metadata, rules },
    {
      apiVersion: `${API_GROUP}/v1`,
      kind: `${kind}Binding`,
      metadata,
      roleRef: { apiGroup: API_GROUP, kind, name: metadata.name },
      subjects: [{ kind: 'ServiceAccount', name: connector.name, namespace: connector.namespace }],
    },
  ]
}

function textsOf(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((each) => typeof each === 'string') : []
}

// The connector's objects, in the order in which they are applied.
import { metaOf, type KubernetesObject } from '../object.ts'
import type { Connector } from '../options.ts'
import { yamlText } from '../yaml.ts'
import {
  connectorDisruptionBudget,
  connectorIdentity,
  connectorNetworkPolicy,
  connectorService,
} from './access.ts'
import { adminPort, connectorConfig } from './config-file.ts'
import { connectorStatefulSet } from './workload.ts'

export { checkConfig } from './check-config.ts'
export { connectorConfig, valueAt } from './config-file.ts'

/** Returns the objects. `brokerHost` is the broker's host, for configurations that do not set `broker.url`. */
export function connectorObjects(connector: Connector, brokerHost: string): KubernetesObject[] {
  const config = connectorConfig(connector, brokerHost)
  const port = adminPort(config)
  return [
    ...connectorIdentity(connector),
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: metaOf('inferwire', connector, '-config'),
      data: { 'inferwire.yaml': yamlText(config) },
    },
    connectorStatefulSet(connector, config),
    connectorService(connector, port),
    connectorDisruptionBudget(connector),
    connectorNetworkPolicy(connector, config),
  ]
}

// The connector's permissions at the API server and on the network.
import { metaOf, selectorLabels, type KubernetesObject } from '../object.ts'
import { ANY_ADDRESS } from '../any-address.ts'
import { ambientIngress, isMeshConnector, meshEgress } from '../kubeflow/index.ts'
import type { Connector } from '../options.ts'
import { adminPort, destinations, type ConfigValues } from './config-file.ts'
import { discoveryAccess } from './discovery.ts'

const APP = 'inferwire'

/** Returns the ServiceAccount, with the permissions of discovery. */
export function connectorIdentity(connector: Connector, config: ConfigValues): KubernetesObject[] {
  const metadata = metaOf(APP, connector)
  return [
    // The pod mounts the token for the API server only for discovery. Model servers receive a projected token with its
    // own audience and lifetime (option modelToken).
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata, automountServiceAccountToken: false },
    ...discoveryAccess(connector, config),
  ]
}

/**
 * Returns the NetworkPolicy, which allows pods in the cluster to fetch the metrics, and allows the connector to
 * reach all addresses except link-local addresses. For models in Kubeflow's mesh, the connector reaches only what it
 * needs.
 */
export function connectorNetworkPolicy(connector: Connector, config: ConfigValues): KubernetesObject {
  const port = adminPort(config)
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: metaOf(APP, connector),
    spec: {
      podSelector: { matchLabels: selectorLabels(APP, connector) },
      policyTypes: ['Ingress', 'Egress'],
      ingress: [
        { from: [{ namespaceSelector: {} }], ports: [{ protocol: 'TCP', port }] },
        ...(isMeshConnector(connector) ? ambientIngress(connector, port) : []),
      ],
      egress: [
        // DNS queries to any address are allowed, because a node-local DNS cache has a link-local address.
        {
          ports: [
            { protocol: 'UDP', port: 53 },
            { protocol: 'TCP', port: 53 },
          ],
        },
        ...(isMeshConnector(connector) ? meshEgress(connector, destinations(config)) : [{ to: ANY_ADDRESS }]),
      ],
    },
  }
}

/** Returns the headless Service, which provides DNS names for the pods and targets for Prometheus. */
export function connectorService(connector: Connector, port: number): KubernetesObject {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: metaOf(APP, connector),
    spec: {
      clusterIP: 'None',
      // Prometheus must also find a connector that is not ready, because the metrics are needed most when the
      // connector has lost its broker.
      publishNotReadyAddresses: true,
      selector: selectorLabels(APP, connector),
      ports: [{ name: 'metrics', port, targetPort: 'admin', protocol: 'TCP' }],
    },
  }
}

/** Returns the PodDisruptionBudget, which allows only one connector at a time to be evicted. */
export function connectorDisruptionBudget(connector: Connector): KubernetesObject {
  return {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: metaOf(APP, connector),
    spec: {
      maxUnavailable: 1,
      // A connector that waits for its broker must not prevent a node from being drained.
      unhealthyPodEvictionPolicy: 'AlwaysAllow',
      selector: { matchLabels: selectorLabels(APP, connector) },
    },
  }
}

// The connector's permissions at the API server and on the network.
import { metaOf, selectorLabels, type KubernetesObject } from '../object.ts'
import type { Connector } from '../options.ts'

const APP = 'inferwire'

/** Returns the ServiceAccount, Role and RoleBinding. */
export function connectorIdentity(connector: Connector): KubernetesObject[] {
  const { name, namespace } = connector
  const metadata = metaOf(APP, connector)
  return [
    // No API token is mounted: model servers receive a projected token with its own audience and lifetime (option
    // modelToken).
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata, automountServiceAccountToken: false },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'Role',
      metadata,
      rules: [
        {
          apiGroups: ['serving.kserve.io'],
          resources: ['inferenceservices'],
          verbs: ['get', 'list', 'watch'],
        },
      ],
    },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'RoleBinding',
      metadata,
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name },
      subjects: [{ kind: 'ServiceAccount', name, namespace }],
    },
  ]
}

/** Returns the NetworkPolicy. Ingress: metrics, from the cluster. Egress: all but link-local addresses. */
export function connectorNetworkPolicy(connector: Connector, port: number): KubernetesObject {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: metaOf(APP, connector),
    spec: {
      podSelector: { matchLabels: selectorLabels(APP, connector) },
      policyTypes: ['Ingress', 'Egress'],
      ingress: [{ from: [{ namespaceSelector: {} }], ports: [{ protocol: 'TCP', port }] }],
      egress: [
        // DNS is allowed to any address, because a node-local DNS cache has a link-local address.
        {
          ports: [
            { protocol: 'UDP', port: 53 },
            { protocol: 'TCP', port: 53 },
          ],
        },
        {
          to: [
            { namespaceSelector: {} },
            { ipBlock: { cidr: '0.0.0.0/0', except: ['169.254.0.0/16'] } },
            { ipBlock: { cidr: '::/0', except: ['fe80::/10', 'fd00:ec2::/32'] } },
          ],
        },
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
      // A connector that has lost its broker is not ready, but that is when its metrics are needed most.
      publishNotReadyAddresses: true,
      selector: selectorLabels(APP, connector),
      ports: [{ name: 'metrics', port, targetPort: 'admin', protocol: 'TCP' }],
    },
  }
}

/** Returns the PodDisruptionBudget, which permits draining nodes, one connector at a time. */
export function connectorDisruptionBudget(connector: Connector): KubernetesObject {
  return {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: metaOf(APP, connector),
    spec: {
      maxUnavailable: 1,
      // A connector that waits for its broker must not block the drain of a node.
      unhealthyPodEvictionPolicy: 'AlwaysAllow',
      selector: { matchLabels: selectorLabels(APP, connector) },
    },
  }
}

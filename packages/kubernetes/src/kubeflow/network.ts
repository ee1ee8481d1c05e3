// NetworkPolicies on the way from the connector to models in Istio's mesh.
import { metaOf, selectorLabels, type KubernetesObject } from '../object.ts'
import { ANY_ADDRESS } from '../any-address.ts'
import { GATEWAY_NAMESPACE, wayOf, type MeshConnector } from './way.ts'

const APP = 'inferwire'
// The pods of Kubeflow's ingress gateway, with the ports for HTTP and HTTPS.
const INGRESS = { names: ['ingressgateway'], ports: [8080, 8443] }
// The pods that serve Knative's local gateway: Kubeflow has its own, Knative uses the ingress gateway.
const LOCAL = { names: ['ingressgateway', 'cluster-local-gateway'], ports: [8080, 8081] }
// istiod, from which a sidecar fetches its certificate and configuration.
const ISTIOD_PORT = 15_012

// ztunnel carries all connections inside the mesh to this port of the destination.
const TUNNEL_PORT = 15_008
// The Kubernetes API server, and issuers of tokens.
const SERVER_PORTS = [443, 6443]
const DEFAULT_PORTS: Readonly<Record<string, number>> = {
  'mqtt:': 1883,
  'mqtts:': 8883,
  'ws:': 80,
  'wss:': 443,
  'http:': 80,
  'https:': 443,
}

/** A destination in a NetworkPolicy's `egress`. */
type Egress = Readonly<Record<string, unknown>>

/** What the connector's configuration names. */
export interface Destinations {
  /** URLs of servers. */
  readonly urls: readonly string[]
  /** Namespaces in which the connector finds models. */
  readonly namespaces: readonly string[]
}

/** Returns whether the connector's calls pass a gateway in `istio-system`. */
function passesGateway(connector: MeshConnector): boolean {
  return connector.kubeflow.mode === 'knative' || wayOf(connector) === 'gateway'
}

function gatewayOf(connector: MeshConnector): typeof INGRESS {
  return wayOf(connector) === 'gateway' ? INGRESS : LOCAL
}

/**
 * Returns the NetworkPolicy that allows the connector to reach the gateway that its calls pass. Some versions of
 * Kubeflow have policies that allow only pods of `istio-system` and `knative-serving`; the calls of other pods end in a
 * time-out. Without such policies, this one would shut out all other clients of the gateway.
 */
export function gatewayNetworkPolicies(connector: MeshConnector): KubernetesObject[] {
  if (!connector.kubeflow.admitToGateway || !passesGateway(connector)) return []
  const { names, ports } = gatewayOf(connector)
  return [
    {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { ...metaOf(APP, connector), namespace: GATEWAY_NAMESPACE },
      spec: {
        podSelector: {
          matchExpressions: [{ key: 'istio', operator: 'In', values: names }],
        },
        policyTypes: ['Ingress'],
        ingress: [
          {
            from: [
              {
                namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': connector.namespace } },
                podSelector: { matchLabels: selectorLabels(APP, connector) },
              },
            ],
            ports: ports.map(tcp),
          },
        ],
      },
    },
  ]
}

/**
 * Returns the destinations that the connector's own NetworkPolicy allows, in addition to DNS: the models or the
 * gateway, istiod, and the servers that the configuration names.
 */
export function meshEgress(
  connector: MeshConnector,
  { urls, namespaces: discovered }: Destinations,
): Egress[] {
  const { ambient, modelNamespace } = connector.kubeflow
  const toGateway = passesGateway(connector)
  const isSidecar = wayOf(connector) === 'mesh' && !ambient
  const ports = [
    ...(toGateway ? gatewayOf(connector).ports : []),
    ...(isSidecar ? [ISTIOD_PORT] : []),
    ...(toGateway && ambient ? [TUNNEL_PORT] : []),
  ]
  const namespaces = new Set([...urls.flatMap((url) => namespaceOf(url) ?? []), ...discovered])
  if (toGateway) namespaces.delete(GATEWAY_NAMESPACE)
  else namespaces.add(modelNamespace)
  const outside = urls.filter((url) => namespaceOf(url) === undefined).map(portOf)
  return [
    ...(ports.length === 0 ? [] : [{ to: [inNamespace(GATEWAY_NAMESPACE)], ports: ports.map(tcp) }]),
    ...[...namespaces].map((name) => ({ to: [inNamespace(name)] })),
    { to: ANY_ADDRESS, ports: [...new Set([...SERVER_PORTS, ...outside])].map(tcp) },
  ]
}

// Returns the namespace of a Service's URL; undefined for a server outside the cluster.
function namespaceOf(url: string): string | undefined {
  return /^[^.]+\.([^.]+)\.svc(?:\.|$)/.exec(new URL(url).hostname)?.[1]
}

function portOf(url: string): number {
  const { port, protocol } = new URL(url)
  return port === '' ? DEFAULT_PORTS[protocol]! : Number(port)
}

function inNamespace(name: string): object {
  return { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': name } } }
}

function tcp(port: number): object {
  return { protocol: 'TCP', port }
}

/**
 * Returns the sources that the connector's own NetworkPolicy admits in ambient mode: ztunnel, and the kubelet's probes,
 * which arrive from a fixed address. https://istio.io/latest/docs/ambient/usage/networkpolicy/
 */
export function ambientIngress({ kubeflow }: MeshConnector, adminPort: number): Egress[] {
  if (!kubeflow.ambient) return []
  return [
    { ports: [tcp(TUNNEL_PORT)] },
    { from: [{ ipBlock: { cidr: '169.254.7.127/32' } }], ports: [tcp(adminPort)] },
  ]
}

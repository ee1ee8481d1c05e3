// Kubeflow's gate in front of the cluster's models: Envoy as ingress gateway and as the sidecar of each model. The gateway
// accepts the tokens of the cluster's own API server, and the sidecars enforce the AuthorizationPolicies in the cluster.
// Limits: there is no istiod, so `applyPolicies` must be called after a change of the policies.
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server } from 'node:net'
import type { AuthorizationPolicy } from '../gate/authorization-policy.ts'
import { startGate, type Gate } from '../gate/gate.ts'
import type { KubeApi, KubeObject } from './kube-api.ts'
import { NODE_ADDRESS } from './node/network.ts'

const POLICIES = '/apis/security.istio.io/v1/namespaces/alice/authorizationpolicies'
const GATEWAY = 'istio-ingressgateway'
const GATEWAY_NAMESPACE = 'istio-system'

/** A running gate. */
export interface MeshGate {
  /** Renders the policies in the cluster again, as istiod does after each change. */
  applyPolicies(): Promise<void>
  stop(): Promise<void>
}

/**
 * Starts the gate for InferenceServices in the namespace `alice`, and creates the gateway's Service.
 * @param hosts the host of each InferenceService in its status
 */
export async function startMeshGate(
  api: KubeApi,
  hosts: Readonly<Record<string, string>>,
): Promise<MeshGate> {
  const pods: Record<string, { port: number; host: string }> = {}
  const forwarders: Server[] = []
  for (const [name, host] of Object.entries(hosts)) {
    const service = await api.get(`/api/v1/namespaces/alice/services/${name}-predictor`)
    const forwarder = await forward('127.0.0.1', () => ({ host: service.spec.clusterIP as string, port: 80 }))
    forwarders.push(forwarder)
    pods[name] = { port: portOf(forwarder), host }
  }
  const { issuer } = await api.get('/.well-known/openid-configuration')
  const keys = await api.get('/openid/v1/jwks')
  let gate: Gate | undefined
  const entrance = await forward(NODE_ADDRESS, () => {
    const { hostname, port } = new URL(gate!.url)
    return { host: hostname, port: Number(port) }
  })
  await createGatewayService(api, portOf(entrance))
  const applyPolicies = async (): Promise<void> => {
    const { items } = (await api.get(POLICIES)) as { items: AuthorizationPolicy[] }
    const next = await startGate({
      pods,
      policies: items,
      acceptsServiceAccounts: false,
      issuers: [{ issuer, keys, userClaim: 'sub' }],
    })
    await gate?.stop()
    gate = next
  }
  await applyPolicies()
  return {
    applyPolicies,
    stop: async () => {
      for (const server of [...forwarders, entrance]) server.close()
      await gate?.stop()
    },
  }
}

// A Service without a selector, whose endpoint is on the node.
async function createGatewayService(api: KubeApi, port: number): Promise<void> {
  const metadata = { name: GATEWAY, namespace: GATEWAY_NAMESPACE }
  const name = 'http2'
  await api.create(`/api/v1/namespaces/${GATEWAY_NAMESPACE}/services`, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata,
    spec: { ports: [{ name, port: 80 }] },
  } satisfies KubeObject)
  await api.create(`/apis/discovery.k8s.io/v1/namespaces/${GATEWAY_NAMESPACE}/endpointslices`, {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { ...metadata, labels: { 'kubernetes.io/service-name': GATEWAY } },
    addressType: 'IPv4',
    ports: [{ name, port, protocol: 'TCP' }],
    endpoints: [{ addresses: [NODE_ADDRESS], conditions: { ready: true } }],
  } satisfies KubeObject)
}

async function forward(address: string, target: () => { host: string; port: number }): Promise<Server> {
  const server = createServer((socket) => {
    const upstream = connect(target())
    socket.pipe(upstream).pipe(socket)
    socket.on('error', () => upstream.destroy()).on('close', () => upstream.destroy())
    upstream.on('error', () => socket.destroy()).on('close', () => socket.destroy())
  })
  server.listen(0, address)
  await once(server, 'listening')
  return server
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port
}

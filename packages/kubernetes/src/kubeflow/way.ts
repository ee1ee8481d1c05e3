// The way on which the connector's calls reach the models, and the namespaces on this way.
import type { Connector } from '../options.ts'
import type { Kubeflow } from './options.ts'

/** Namespace of Istio's gateways. */
export const GATEWAY_NAMESPACE = 'istio-system'
/** Namespace of Knative's activator and autoscaler. */
export const KNATIVE_NAMESPACE = 'knative-serving'

/** A connector for models in the mesh. */
export type MeshConnector = Connector & { readonly kubeflow: Kubeflow }

/** Returns whether the connector has models in the mesh. */
export function isMeshConnector(connector: Connector): connector is MeshConnector {
  return connector.kubeflow !== undefined
}

/**
 * `mesh`: the connector's pod is in the mesh, and its certificate is its identity. `gateway`: the calls pass Kubeflow's
 * ingress gateway, and the ServiceAccount token is the identity.
 */
export function wayOf({ modelToken }: Connector): 'mesh' | 'gateway' {
  return modelToken === undefined ? 'mesh' : 'gateway'
}

// The objects that a connector needs in front of models in Kubeflow's service mesh.
import type { KubernetesObject } from '../object.ts'
import { OptionError } from '../option-error.ts'
import type { Connector } from '../options.ts'
import { authorizationPolicies } from './authorization.ts'
import { gatewayNetworkPolicies } from './network.ts'
import { isMeshConnector, wayOf } from './way.ts'

export { ambientIngress, meshEgress } from './network.ts'
export { meshPodMeta } from './pod.ts'
export { isMeshConnector } from './way.ts'

/**
 * Returns the objects outside the connector's own namespace; none for a connector without such models.
 * @throws OptionError for options that contradict each other
 */
export function kubeflowObjects(connector: Connector): KubernetesObject[] {
  if (!isMeshConnector(connector)) return []
  const { ambient, inferenceServices } = connector.kubeflow
  if (ambient && wayOf(connector) === 'gateway') {
    throw new OptionError(
      'kubeflow.ambient',
      'cannot be combined with a token for models: ztunnel cannot check the identity in a header',
      'Remove one of the two options.',
    )
  }
  if (inferenceServices.length === 0 && !isAllowedByKubeflow(connector)) {
    throw new OptionError(
      'kubeflow.inferenceServices',
      'is empty, so no policy would allow the connector to call a model',
      'Name each InferenceService that the connector may call.',
    )
  }
  return [...authorizationPolicies(connector), ...gatewayNetworkPolicies(connector)]
}

// Kubeflow's policy for a profile's namespace allows calls from workloads in the same namespace. With Knative, calls
// arrive from the activator or the gateway, so that policy does not apply.
function isAllowedByKubeflow({ kubeflow, namespace, modelToken }: Connector): boolean {
  return kubeflow?.mode === 'standard' && kubeflow.modelNamespace === namespace && modelToken === undefined
}

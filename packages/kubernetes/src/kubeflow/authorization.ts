// The policies that allow the connector to call single InferenceServices in Istio's mesh.
import { labelsOf, type KubernetesObject } from '../object.ts'
import { GATEWAY_NAMESPACE, KNATIVE_NAMESPACE, wayOf, type MeshConnector } from './way.ts'

/** The ServiceAccount of Kubeflow's ingress gateway, as Istio's identity. */
const GATEWAY_PRINCIPAL = `cluster.local/ns/${GATEWAY_NAMESPACE}/sa/istio-ingressgateway-service-account`
/** The header in which Kubeflow's gateway passes on the identity that it has read from a token. */
const IDENTITY_HEADER = 'request.headers[kubeflow-userid]'
// What the connector calls, over HTTP and gRPC. Not included: the paths and methods that load and unload models.
const INFERENCE_PATHS = [
  '/v1/models',
  '/v1/models/*',
  '/v2/models/*',
  '/v1/chat/completions',
  '/v1/completions',
  '/v1/embeddings',
  '/openai/v1/*',
  '/inference.GRPCInferenceService/ModelInfer',
  '/inference.GRPCInferenceService/ModelStreamInfer',
  '/inference.GRPCInferenceService/ModelMetadata',
  '/inference.GRPCInferenceService/ModelReady',
]
// Knative's activator and autoscaler call these paths of every pod.
const PROBES = {
  from: [{ source: { namespaces: [KNATIVE_NAMESPACE, GATEWAY_NAMESPACE] } }],
  to: [{ operation: { methods: ['GET'], paths: ['/metrics', '/healthz', '/ready', '/wait-for-drain'] } }],
}

type Rule = Readonly<Record<string, unknown>>

/**
 * Returns one AuthorizationPolicy for each InferenceService. It selects only the pods of that InferenceService, and
 * allows only the way on which the connector's calls arrive.
 * https://istio.io/latest/docs/reference/config/security/authorization-policy/
 */
export function authorizationPolicies(connector: MeshConnector): KubernetesObject[] {
  const { kubeflow, name } = connector
  const { inferenceServices, modelNamespace: namespace } = kubeflow
  const rules = rulesOf(connector)
  return inferenceServices.map((model) => ({
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name: `${model}-${name}`, namespace, labels: labelsOf('inferwire', connector) },
    spec: {
      selector: { matchLabels: { 'serving.kserve.io/inferenceservice': model } },
      action: 'ALLOW',
      rules,
    },
  }))
}

function rulesOf(connector: MeshConnector): Rule[] {
  const { ambient, mode } = connector.kubeflow
  const calls = wayOf(connector) === 'gateway' ? throughGateway(connector) : insideMesh(connector)
  // ztunnel reads no HTTP, so in ambient mode a rule contains only the source.
  if (ambient) return [calls]
  const rule = { ...calls, to: [{ operation: { methods: ['GET', 'POST'], paths: INFERENCE_PATHS } }] }
  return mode === 'standard' ? [rule] : [rule, PROBES]
}

function insideMesh({ kubeflow, namespace, name }: MeshConnector): Rule {
  return kubeflow.mode === 'standard'
    ? { from: [{ source: { principals: [`cluster.local/ns/${namespace}/sa/${name}`] } }] }
    : // Knative's gateway and activator forward calls under their own identities, so the connector's is unknown.
      { from: [{ source: { namespaces: [KNATIVE_NAMESPACE, GATEWAY_NAMESPACE] } }] }
}

function throughGateway({ kubeflow, namespace, name }: MeshConnector): Rule {
  const activator = kubeflow.mode === 'knative' ? [{ source: { namespaces: [KNATIVE_NAMESPACE] } }] : []
  return {
    from: [{ source: { principals: [GATEWAY_PRINCIPAL] } }, ...activator],
    when: [{ key: IDENTITY_HEADER, values: [`system:serviceaccount:${namespace}:${name}`] }],
  }
}

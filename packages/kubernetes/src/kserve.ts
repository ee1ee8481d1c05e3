// The example model, and the policy that allows the connector to call it in a service mesh.
import { labelsOf, type Installed, type KubernetesObject, type Place } from './object.ts'

const EXAMPLE_MODEL: Place = { name: 'iris', namespace: 'models' }

/** The address of the model's predictor, in both deployment modes of KServe. */
export const EXAMPLE_MODEL_URL = `http://${EXAMPLE_MODEL.name}-predictor.${EXAMPLE_MODEL.namespace}.svc.cluster.local`

/** Returns the first example in KServe's documentation: a scikit-learn model of the iris data set. */
export function exampleInferenceService(): KubernetesObject {
  return {
    apiVersion: 'serving.kserve.io/v1beta1',
    kind: 'InferenceService',
    metadata: EXAMPLE_MODEL,
    spec: {
      predictor: {
        minReplicas: 1,
        model: {
          modelFormat: { name: 'sklearn' },
          storageUri: 'gs://kfserving-examples/models/sklearn/1.0/model',
          resources: {
            requests: { cpu: '100m', memory: '512Mi' },
            limits: { memory: '1Gi' },
          },
        },
      },
    },
  }
}

/**
 * Allows the connector to call the model from inside the mesh, or through Kubeflow's gateway with the connector's
 * token.
 */
export function connectorAuthorizationPolicy(connector: Installed): KubernetesObject {
  const identity = `${connector.namespace}/sa/${connector.name}`
  const to = [{ operation: { methods: ['GET', 'POST'], paths: ['/v1/models/*', '/v2/*'] } }]
  return {
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: {
      name: `${EXAMPLE_MODEL.name}-${connector.name}`,
      namespace: EXAMPLE_MODEL.namespace,
      labels: labelsOf('inferwire', connector),
    },
    spec: {
      selector: { matchLabels: { 'serving.kserve.io/inferenceservice': EXAMPLE_MODEL.name } },
      action: 'ALLOW',
      rules: [
        { from: [{ source: { principals: [`cluster.local/ns/${identity}`] } }], to },
        {
          from: [
            {
              source: {
                principals: ['cluster.local/ns/istio-system/sa/istio-ingressgateway-service-account'],
              },
            },
          ],
          to,
          when: [
            {
              key: 'request.headers[kubeflow-userid]',
              values: [`system:serviceaccount:${connector.namespace}:${connector.name}`],
            },
          ],
        },
      ],
    },
  }
}

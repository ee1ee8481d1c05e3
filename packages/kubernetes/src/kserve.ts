// The example model.
import type { KubernetesObject, Place } from './object.ts'

/** The place of the example's InferenceService. */
export const EXAMPLE_MODEL: Place = { name: 'iris', namespace: 'models' }

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

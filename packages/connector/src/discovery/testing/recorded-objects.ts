// Objects as KServe's controller 0.20.0 and 0.15.2 wrote them, recorded against a real API server, without fields that
// the mapping does not read.
import type { UntrustedObject } from '../untrusted-object.ts'

/** Changes to a recorded object: each member replaces the recorded one. */
export interface Changes {
  readonly metadata?: Readonly<Record<string, unknown>>
  readonly spec?: unknown
  readonly status?: unknown
}

const T = '2026-11-30T10:00:00Z'
const condition = (type: string, status: string, more: object = {}) => ({
  type,
  status,
  lastTransitionTime: T,
  ...more,
})

/** The status of `iris` in Standard mode when it is ready (0.20.0). */
export const READY_STANDARD = {
  address: { url: 'http://iris-predictor.models.svc.cluster.local' },
  clusterServingRuntimeName: 'kserve-sklearnserver',
  components: { predictor: { url: 'http://iris-predictor-models.example.com' } },
  conditions: [
    condition('IngressReady', 'True'),
    condition('PredictorReady', 'True', {
      reason: 'NewReplicaSetAvailable',
      message: 'ReplicaSet "iris-predictor-1" has successfully progressed.',
    }),
    condition('Ready', 'True'),
    condition('Stopped', 'False', { severity: 'Info' }),
  ],
  deploymentMode: 'Standard',
  modelStatus: {
    copies: { failedCopies: 0, totalCopies: 1 },
    states: { activeModelState: 'Loaded', targetModelState: 'Loaded' },
    transitionStatus: 'UpToDate',
  },
  observedGeneration: 1,
  url: 'http://iris-models.example.com',
}

/** The status of `iris` in Standard mode when its pod is not ready any more. The addresses stay. */
export const NOT_READY_STANDARD = {
  ...READY_STANDARD,
  conditions: [
    condition('IngressReady', 'False', { reason: 'Predictor ingress not created' }),
    condition('PredictorReady', 'False', {
      reason: 'MinimumReplicasUnavailable',
      message: 'Deployment does not have minimum availability.',
    }),
    condition('Ready', 'False', { reason: 'Predictor ingress not created' }),
    condition('Stopped', 'False', { severity: 'Info' }),
  ],
}

/** The status of `iris` before its first readiness. */
export const NEVER_READY = {
  conditions: [
    condition('IngressReady', 'False', { reason: 'Predictor ingress not created' }),
    condition('PredictorReady', 'Unknown'),
    condition('Ready', 'False', { reason: 'Predictor ingress not created' }),
    condition('Stopped', 'False', { severity: 'Info' }),
  ],
  deploymentMode: 'Standard',
  modelStatus: { states: { targetModelState: 'Pending' }, transitionStatus: 'InProgress' },
}

/** The status after `serving.kserve.io/stop: "true"` (0.20.0): the addresses are gone. */
export const STOPPED = {
  conditions: [
    condition('IngressReady', 'False', { reason: 'Stopped' }),
    condition('PredictorReady', 'False', { reason: 'Stopped' }),
    condition('Ready', 'False', { reason: 'Stopped' }),
    condition('Stopped', 'True', { severity: 'Info' }),
  ],
  deploymentMode: 'Standard',
}

/** The status after an init container failed to load the model. */
export const FAILED_LOAD = {
  ...NEVER_READY,
  modelStatus: {
    copies: { failedCopies: 1, totalCopies: 1 },
    lastFailureInfo: {
      exitCode: 1,
      message: 'Traceback: no such bucket gs://secret-bucket/models',
      reason: 'ModelLoadFailed',
    },
    states: { activeModelState: '', targetModelState: 'FailedToLoad' },
    transitionStatus: 'BlockedByFailedLoad',
  },
}

/** The status of `iris` in Knative mode when it is ready; its modelStatus is the same without pods. */
export const READY_KNATIVE = {
  address: { url: 'http://iris-predictor.models.svc.cluster.local' },
  components: { predictor: { url: 'http://iris-predictor.models.example.com' } },
  conditions: [
    condition('IngressReady', 'True'),
    condition('LatestDeploymentReady', 'True', { severity: 'Info' }),
    condition('PredictorConfigurationReady', 'True', { severity: 'Info' }),
    condition('PredictorReady', 'True'),
    condition('PredictorRouteReady', 'True', { severity: 'Info' }),
    condition('Ready', 'True'),
    condition('RoutesReady', 'True', { severity: 'Info' }),
    condition('Stopped', 'False', { severity: 'Info' }),
  ],
  deploymentMode: 'Knative',
  modelStatus: { states: { targetModelState: 'Pending' }, transitionStatus: 'InProgress' },
  observedGeneration: 1,
  url: 'http://iris-predictor.models.example.com',
}

/** The status in Knative mode when a new revision failed and the earlier one is still in use. */
export const REVISION_FAILED = {
  ...READY_KNATIVE,
  conditions: [
    condition('PredictorConfigurationReady', 'False', { severity: 'Info', reason: 'RevisionFailed' }),
    condition('PredictorReady', 'False', { reason: 'RevisionFailed', message: 'Revision failed.' }),
    condition('Ready', 'False', { reason: 'RevisionFailed' }),
    condition('RoutesReady', 'True', { severity: 'Info' }),
  ],
  modelStatus: { transitionStatus: 'BlockedByFailedLoad' },
}

/** The status of InferenceGraph `chain`: ready although its router has no pod, and without lastTransitionTime. */
export const READY_GRAPH = {
  conditions: [{ type: 'Ready', status: 'True' }],
  deploymentMode: 'Standard',
  url: 'http://chain-models.example.com',
}

/** The status of TrainedModel `extra`, without its URL. */
export const READY_TRAINED_MODEL = {
  conditions: [
    condition('InferenceServiceReady', 'True'),
    condition('IsMMSPredictor', 'True'),
    condition('MemoryResourceAvailable', 'True'),
    condition('Ready', 'True'),
  ],
}

const SKLEARN = {
  predictor: {
    model: {
      modelFormat: { name: 'sklearn' },
      name: '',
      resources: {},
      storageUri: 'gs://example-bucket/models/sklearn/iris',
    },
  },
}

/** Returns the InferenceService `iris` in the namespace `models`, ready in Standard mode, with the given changes. */
export function iris(changes: Changes = {}): UntrustedObject {
  return {
    apiVersion: 'serving.kserve.io/v1beta1',
    kind: 'InferenceService',
    metadata: {
      name: 'iris',
      namespace: 'models',
      uid: '1',
      resourceVersion: '1',
      annotations: {
        'inferwire.io/expose': 'true',
        'serving.kserve.io/deploymentMode': 'Standard',
        modelFormat: 'sklearn',
      },
      finalizers: ['inferenceservice.finalizers'],
      ...changes.metadata,
    },
    spec: changes.spec ?? SKLEARN,
    status: 'status' in changes ? changes.status : READY_STANDARD,
  }
}

/** Returns `iris` with annotations in addition to `inferwire.io/expose: "true"`. */
export function irisWith(
  annotations: Readonly<Record<string, string>>,
  changes: Changes = {},
): UntrustedObject {
  const metadata = { ...changes.metadata, annotations: { 'inferwire.io/expose': 'true', ...annotations } }
  return iris({ ...changes, metadata })
}

/** Returns the InferenceGraph `chain`. */
export function chain(status: unknown = READY_GRAPH): UntrustedObject {
  return {
    kind: 'InferenceGraph',
    metadata: { name: 'chain', namespace: 'models', annotations: { 'inferwire.io/expose': 'true' } },
    spec: { nodes: { root: { routerType: 'Sequence', steps: [{ serviceName: 'iris' }] } } },
    status,
  }
}

/** Returns the TrainedModel `extra` on the server of `iris`. */
export function extra(status: unknown = READY_TRAINED_MODEL): UntrustedObject {
  return {
    kind: 'TrainedModel',
    metadata: { name: 'extra', namespace: 'models', annotations: { 'inferwire.io/expose': 'true' } },
    spec: {
      inferenceService: 'iris',
      model: { framework: 'sklearn', memory: '1Gi', storageUri: 'gs://b/m' },
    },
    status,
  }
}

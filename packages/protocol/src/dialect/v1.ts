// KServe's V1 protocol (TensorFlow Serving style).
import { instancesRules } from '../batch/instances.ts'
import type { DialectKind } from './dialect-kind.ts'

/** The V1 entry of the dialect table. The colon of `:predict` is not percent-encoded. */
export const v1 = {
  title: 'V1',
  defaultOperation: 'predict',
  modelLists: [{ method: 'GET', path: '/v1/models' }],
  assumedForKinds: ['InferenceService', 'InferenceGraph', 'TrainedModel'],
  hasBinaryTensors: false,
  hasOpaqueBodies: true,
  bodyMember: 'instances',
  batching: instancesRules,
  routes: {
    predict: { method: 'POST', path: '/v1/models/{model}:predict' },
    explain: { method: 'POST', path: '/v1/models/{model}:explain' },
    metadata: { method: 'GET', path: '/v1/models/{model}' },
    // KServe V1 has no separate path for readiness: the model's description contains a member `ready`.
    ready: { method: 'GET', path: '/v1/models/{model}' },
  },
} as const satisfies DialectKind

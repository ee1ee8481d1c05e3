// Where the kinds of KServe's objects are in the Kubernetes API.
import type { Kind } from './discovered-model.ts'
import type { KubeKind } from './kube/kube-object.ts'

const GROUP = 'serving.kserve.io'

/** The kinds, by the versions that every supported release of KServe serves. */
export const KUBE_KINDS: Readonly<Record<Kind, KubeKind>> = {
  InferenceService: { group: GROUP, version: 'v1beta1', plural: 'inferenceservices' },
  InferenceGraph: { group: GROUP, version: 'v1alpha1', plural: 'inferencegraphs' },
  TrainedModel: { group: GROUP, version: 'v1alpha1', plural: 'trainedmodels' },
  LLMInferenceService: { group: GROUP, version: 'v1alpha1', plural: 'llminferenceservices' },
}

/** Returns the name of a kind for kubectl and for Roles, such as `inferenceservices.serving.kserve.io`. */
export function resourceOf(kind: Kind): string {
  const { plural, group } = KUBE_KINDS[kind]
  return `${plural}.${group}`
}

// The paths and versions of the Kubernetes API that the checks of a cluster use.
import { collectionPath, type KubeKind } from '@inferwire/connector'

/** KServe's models. */
export const INFERENCE_SERVICES: KubeKind = {
  group: 'serving.kserve.io',
  version: 'v1beta1',
  plural: 'inferenceservices',
}
/** The version of KServe's API group. */
export const KSERVE_API = '/apis/serving.kserve.io/v1beta1'
/** KServe's controller, whose labels contain the version of KServe. */
export const KSERVE_CONTROLLER = '/apis/apps/v1/namespaces/kserve/deployments/kserve-controller-manager'
/** KServe's settings for the whole cluster. */
export const KSERVE_SETTINGS = '/api/v1/namespaces/kserve/configmaps/inferenceservice-config'

/** Istio's policies. */
export const AUTHORIZATION_POLICIES: KubeKind = {
  group: 'security.istio.io',
  version: 'v1',
  plural: 'authorizationpolicies',
}

/** The apiVersion of a NetworkPolicy. */
export const NETWORK_API = 'networking.k8s.io/v1'
/** Policies of the network plug-in. */
export const NETWORK_POLICIES: KubeKind = {
  group: 'networking.k8s.io',
  version: 'v1',
  plural: 'networkpolicies',
}

const SELF_REVIEW = 'authentication.k8s.io/v1'
const ACCESS_REVIEW = 'authorization.k8s.io/v1'

/** A request that the API server answers, without creating an object. */
export interface Review {
  readonly path: string
  readonly object: object
}

/** Asks for the user name of the caller. */
export const SELF_SUBJECT_REVIEW: Review = {
  path: `/apis/${SELF_REVIEW}/selfsubjectreviews`,
  object: { apiVersion: SELF_REVIEW, kind: 'SelfSubjectReview' },
}

/** Asks whether the caller may do something. */
export function accessReview(resourceAttributes: object): Review {
  return {
    path: `/apis/${ACCESS_REVIEW}/selfsubjectaccessreviews`,
    object: { apiVersion: ACCESS_REVIEW, kind: 'SelfSubjectAccessReview', spec: { resourceAttributes } },
  }
}

/** Returns the path of a namespace. */
export function namespacePath(name: string): string {
  return `${collectionPath({ group: '', version: 'v1', plural: 'namespaces' })}/${name}`
}

/** Returns the path of the pods in a namespace. */
export function podsPath(namespace: string): string {
  return collectionPath({ group: '', version: 'v1', plural: 'pods' }, namespace)
}

// Finds models in Kubernetes.
export { KubeError } from './kube/kube-error.ts'
export {
  KubeApi,
  type CallOptions,
  type FindOptions,
  type ListOptions,
  type UnreadableObject,
} from './kube/kube-api.ts'
export { collectionPath, type KubeKind, type KubeObject } from './kube/kube-object.ts'
export { NamespaceSet } from './kube/namespace-set.ts'
export { ResourceWatch, type WatchHandlers } from './kube/resource-watch.ts'
export type { Pace } from './kube/retry-pace.ts'
export type { WatchStatus } from './kube/watch-scope.ts'
export { Discovery } from './discovery.ts'
export { isRefusal } from './discovered-model.ts'
export { mapObject } from './map-object.ts'
export { rulesOf } from './rules.ts'

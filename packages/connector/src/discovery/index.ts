// Finds models in Kubernetes.
export { KubeError } from './kube/kube-error.ts'
export {
  KubeApi,
  type CallOptions,
  type FindOptions,
  type ListOptions,
  type UnreadableObject,
} from './kube/kube-api.ts'
export type { InClusterOptions } from './kube/in-cluster.ts'
export type { KubeconfigOptions } from './kube/kubeconfig.ts'
export {
  collectionPath,
  type KubeKind,
  type KubeMetadata,
  type KubeObject,
  type ObjectRef,
} from './kube/kube-object.ts'
export { NamespaceSet, type NamespaceHandlers, type NamespaceSetOptions } from './kube/namespace-set.ts'
export { ResourceWatch, type ResourceWatchOptions, type WatchHandlers } from './kube/resource-watch.ts'
export type { Pace } from './kube/retry-pace.ts'
export type { WatchStatus } from './kube/watch-scope.ts'
export { Discovery, type DiscoveredModels, type DiscoveryParts } from './discovery.ts'
export type { DiscoveryFigures } from './model-counts.ts'

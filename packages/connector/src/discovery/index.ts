// Finds the models of a Kubernetes cluster.
export {
  isRefusal,
  keyText,
  type Condition,
  type DiscoveredModel,
  type Kind,
  type Mapping,
  type ObjectKey,
  type Refusal,
  type RefusalKind,
} from './discovered-model.ts'
export { mapObject, parentOf } from './map-object.ts'
export type { DiscoveryRules } from './rules.ts'

// The types that the mapping of Kubernetes objects produces.
import type { ModelState } from '@inferwire/protocol'
import type { DiscoveredKind, ModelConfig } from '../config/index.ts'
import type { ModelTraits } from '../step.ts'
import { shown } from './untrusted-object.ts'

/** A kind of KServe objects. */
export type Kind = DiscoveredKind

/** Identifies an object in the cluster. */
export interface ObjectKey {
  readonly kind: Kind
  readonly namespace: string
  readonly name: string
}

/** Whether a model can be called. */
export interface Condition {
  readonly state: ModelState
  /**
   * Why the model cannot be called, or what is wrong although it can be; a part of a sentence. It is shown to clients,
   * so it never contains text of the cluster other than the names of conditions and their reasons.
   */
  readonly reason?: string
  /** More about the reason, for the log only. */
  readonly detail?: string
}

/** Where to connect, and the Host to send; checked against the object's namespace. */
export interface Address {
  readonly url: string
  /** Undefined = the host of the URL. */
  readonly host: string | undefined
}

/** A model that an object of the cluster describes. */
export interface DiscoveredModel {
  readonly key: ObjectKey
  /** The model's name in topics. */
  readonly name: string
  readonly condition: Condition
  /** Undefined until the cluster has reported an address. */
  readonly address: Address | undefined
  /** The options of the model, except its address. */
  readonly options: Omit<ModelConfig, 'url' | 'host'>
  readonly traits: ModelTraits
}

/** Why an object is not exposed; the value of the label `reason` of a metric. */
export type RefusalKind =
  | 'name'
  | 'address'
  | 'annotation'
  | 'protocol'
  | 'mode'
  | 'credential'
  | 'conflict'
  | 'limit'
  | 'parent'
  | 'fault'

/** An object that asks to be exposed, but cannot be. */
export interface Refusal {
  readonly refused: RefusalKind
  /** A sentence about the object, and one with the remedy. For the log. */
  readonly message: string
}

/** The result of mapping an object; `ignored` if it does not ask to be exposed, or is being deleted. */
export type Mapping = DiscoveredModel | Refusal | 'ignored'

/** Returns whether a value is a refusal. */
export function isRefusal(value: object | string | undefined): value is Refusal {
  return typeof value === 'object' && 'refused' in value
}

/** Returns the text form of a key, which is unique in the cluster. */
export function keyText({ kind, namespace, name }: ObjectKey): string {
  return `${kind}/${namespace}/${name}`
}

/** Returns the refusal of an object that the connector cannot handle, so that it does not affect other objects. */
export function faultOf({ kind, namespace, name }: ObjectKey, error: unknown): Refusal {
  const reason = error instanceof Error ? error.message : String(error)
  return {
    refused: 'fault',
    message: `${kind} "${shown(namespace)}/${shown(name)}" is not exposed, because the connector cannot handle it: ${shown(reason)}. This is a fault of the connector; please report it.`,
  }
}

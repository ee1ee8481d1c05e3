// The types that the mappings of the kinds share.
import type { ProtocolVersion } from '@inferwire/protocol'
import type { ModelTraits } from '../step.ts'
import type { Address, Condition, DiscoveredModel, ObjectKey } from './discovered-model.ts'
import type { UntrustedObject } from './untrusted-object.ts'
import type { DiscoveryRules } from './rules.ts'

/** What the mapping of one kind finds out. */
export interface KindFacts {
  readonly condition: Condition
  readonly address: Address | undefined
  /** The protocol that the object states; undefined = the server is queried. */
  readonly protocolVersion: ProtocolVersion | undefined
  /** The model's name on the server, unchecked; undefined = the object's name. */
  readonly modelName: string | undefined
  readonly timeoutMs?: number | undefined
  /** Whether KServe merges requests itself, so that the connector must not do so too. */
  readonly hasBatcher?: boolean
  readonly traits: ModelTraits
}

/** What the mapping of one kind needs. */
export interface KindInput {
  readonly key: ObjectKey
  readonly object: UntrustedObject
  readonly rules: DiscoveryRules
  /** The model of the InferenceService that a TrainedModel belongs to; undefined if it is not known. */
  readonly parent: DiscoveredModel | undefined
}

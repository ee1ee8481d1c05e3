// Maps an object of the cluster to a model that the connector can expose, or to the reason why it is refused.
import { fitsRoutes, isServerModelName, protocolOf, type ProtocolVersion } from '@inferwire/protocol'
import type { ModelConfig } from '../config/index.ts'
import { exposeChoice, readAnnotations, type Annotations } from './annotations.ts'
import {
  isRefusal,
  type Address,
  type DiscoveredModel,
  type Kind,
  type Mapping,
  type ObjectKey,
  type Refusal,
} from './discovered-model.ts'
import { exposedName, keyOf } from './exposed-name.ts'
import type { KindFacts, KindInput } from './kind-facts.ts'
import { inferenceGraph } from './inference-graph.ts'
import { inferenceService } from './inference-service.ts'
import { shown, textAt, type UntrustedObject } from './untrusted-object.ts'
import { llmInferenceService } from './llm-inference-service.ts'
import type { DiscoveryRules } from './rules.ts'
import { trainedModel } from './trained-model.ts'

const KIND_MAPPINGS: Readonly<Record<Kind, (input: KindInput) => KindFacts | Refusal>> = {
  InferenceService: inferenceService,
  InferenceGraph: inferenceGraph,
  TrainedModel: trainedModel,
  LLMInferenceService: llmInferenceService,
}

/** Returns the namespace and the name of the InferenceService that a TrainedModel belongs to. */
export function parentOf(kind: Kind, object: UntrustedObject): ObjectKey | undefined {
  if (kind !== 'TrainedModel') return undefined
  const name = textAt(object, 'spec', 'inferenceService')
  const namespace = textAt(object, 'metadata', 'namespace')
  return name === undefined || namespace === undefined
    ? undefined
    : { kind: 'InferenceService', namespace, name }
}

/** Maps an object that asks to be exposed. Never throws, whatever the object contains. */
export function mapObject(
  kind: Kind,
  object: UntrustedObject,
  rules: DiscoveryRules,
  parent?: DiscoveredModel,
): Mapping {
  // The controller removes the object's pods while the object is still reported as ready.
  if (textAt(object, 'metadata', 'deletionTimestamp') !== undefined) return 'ignored'
  const key = keyOf(kind, object)
  if (isRefusal(key)) return key
  const choice = exposeChoice(key, object)
  if (isRefusal(choice)) return choice
  if (choice === 'no' || (choice === 'unset' && rules.expose === 'opt-in')) return 'ignored'
  return describeObject({ key, object, rules, parent })
}

/**
 * Returns the model of an InferenceService as the parent of TrainedModels, whether or not it asks to be exposed itself;
 * undefined if it has no model, or its owner excludes it.
 */
export function parentModel(
  kind: Kind,
  object: UntrustedObject,
  rules: DiscoveryRules,
): DiscoveredModel | undefined {
  const isDeleted = textAt(object, 'metadata', 'deletionTimestamp') !== undefined
  const key = keyOf(kind, object)
  if (kind !== 'InferenceService' || isDeleted || isRefusal(key)) return undefined
  const choice = exposeChoice(key, object)
  const model = choice === 'no' ? undefined : describeObject({ key, object, rules, parent: undefined })
  return isRefusal(model) ? undefined : model
}

/** Describes the model of an object, whether or not it asks to be exposed. */
function describeObject(input: KindInput): DiscoveredModel | Refusal {
  const { key, object, rules } = input
  const annotations = readAnnotations(key, object)
  if (isRefusal(annotations)) return annotations
  const facts = KIND_MAPPINGS[key.kind](input)
  if (isRefusal(facts)) return facts
  const { address } = facts
  const modelName = annotations.model ?? facts.modelName ?? key.name
  const protocolVersion = annotations.protocolVersion ?? facts.protocolVersion
  if (facts.traits.operations !== undefined && protocolVersion !== facts.protocolVersion) {
    return onlyProtocol(key, facts.protocolVersion)
  }
  const mistake = mistakeIn(key, modelName, protocolVersion, address)
  if (mistake !== undefined) return mistake
  const credential = credentialOf(key, annotations.credential, rules)
  if (isRefusal(credential)) return credential
  return {
    key,
    name: exposedName(key, rules),
    condition: facts.condition,
    address,
    options: optionsOf({ annotations, facts, modelName, protocolVersion, rules, credential }),
    traits: facts.traits,
  }
}

// The operations of such a kind belong to one protocol.
function onlyProtocol({ kind, namespace, name }: ObjectKey, only: ProtocolVersion | undefined): Refusal {
  return {
    refused: 'protocol',
    message: `${kind} "${namespace}/${name}" is not exposed, because the protocol of this kind is always "${only}". Remove the annotation inferwire.io/protocol-version: kubectl annotate ${kind.toLowerCase()} ${name} -n ${namespace} inferwire.io/protocol-version-`,
  }
}

// The rules that the configuration checks for an operator's model.
function mistakeIn(
  { kind, namespace, name }: ObjectKey,
  modelName: string,
  protocolVersion: ProtocolVersion | undefined,
  address: Address | undefined,
): Refusal | undefined {
  const { dialects, transport } = protocolOf(protocolVersion)
  const isUsable =
    isServerModelName(modelName) &&
    (transport === 'grpc' || dialects.some((dialect) => fitsRoutes(modelName, dialect)))
  if (!isUsable) {
    return {
      refused: 'name',
      message: `${kind} "${namespace}/${name}" serves a model whose name "${shown(modelName)}" does not fit into the paths of its protocol. Correct the argument --model_name, or set the annotation inferwire.io/model.`,
    }
  }
  if (transport === 'http' || address === undefined || new URL(address.url).pathname === '/') return undefined
  return {
    refused: 'protocol',
    message: `${kind} "${namespace}/${name}" uses gRPC, but its address behind the gateway has a path, and gRPC has fixed paths. Use a host for each model (KServe's domainTemplate), or another protocol version.`,
  }
}

// The annotation chooses among the names that the operator has listed. The registry checks, in addition, that the
// credential may be sent to the address.
function credentialOf(
  { kind, namespace, name }: ObjectKey,
  chosen: string | undefined,
  { credential, credentials }: DiscoveryRules,
): ModelConfig['credential'] | Refusal {
  if (chosen === undefined) return credential ?? { kind: 'none' }
  if (chosen === credential || credentials.has(chosen)) return chosen
  return {
    refused: 'credential',
    message: `The annotation inferwire.io/credential of ${kind} "${namespace}/${name}" is "${shown(chosen)}", which is not in discovery.credentials. Remove the annotation, or list the name there.`,
  }
}

interface OptionParts {
  readonly annotations: Annotations
  readonly facts: KindFacts
  readonly modelName: string
  readonly protocolVersion: ProtocolVersion | undefined
  readonly rules: DiscoveryRules
  readonly credential: ModelConfig['credential']
}

function optionsOf({
  annotations,
  facts,
  modelName,
  protocolVersion,
  rules,
  credential,
}: OptionParts): DiscoveredModel['options'] {
  const { defaults } = rules
  return {
    ...defaults,
    modelName,
    versions: [],
    protocolVersion,
    timeoutMs: annotations.timeoutMs ?? facts.timeoutMs ?? defaults.timeoutMs,
    batching: facts.hasBatcher === true ? 'off' : defaults.batching,
    // A lane is a session of its own: an object of the cluster must not be able to open sessions.
    lane: false,
    credential,
  }
}

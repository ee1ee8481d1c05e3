// Maps an object of the cluster to a model that the connector can expose, or to the reason why it is refused.
import { isServerModelName } from '@inferwire/protocol'
import type { ModelConfig } from '../config/index.ts'
import { exposeChoice, readAnnotations, type Annotations } from './annotations.ts'
import {
  isRefusal,
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

/** Maps an object. Never throws, whatever the object contains. */
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
  const annotations = readAnnotations(key, object)
  if (isRefusal(annotations)) return annotations
  const facts = KIND_MAPPINGS[kind]({ key, object, rules, parent })
  if (isRefusal(facts)) return facts
  const modelName = annotations.model ?? facts.modelName ?? key.name
  if (!isServerModelName(modelName)) {
    return {
      refused: 'name',
      message: `${kind} "${key.namespace}/${key.name}" serves a model with the invalid name "${shown(modelName)}". Correct the argument --model_name, or set the annotation inferwire.io/model.`,
    }
  }
  const { address } = facts
  const credential =
    address === undefined ? NO_CREDENTIAL : rules.credential(annotations.credential, address.url)
  if (isRefusal(credential)) return credential
  return {
    key,
    name: exposedName(key, rules),
    condition: facts.condition,
    address,
    options: optionsOf({ annotations, facts, modelName, rules, credential }),
    traits: facts.traits,
  }
}

const NO_CREDENTIAL: ModelConfig['credential'] = { kind: 'none' }

interface OptionParts {
  readonly annotations: Annotations
  readonly facts: KindFacts
  readonly modelName: string
  readonly rules: DiscoveryRules
  readonly credential: ModelConfig['credential']
}

function optionsOf({
  annotations,
  facts,
  modelName,
  rules,
  credential,
}: OptionParts): DiscoveredModel['options'] {
  const { defaults } = rules
  return {
    ...defaults,
    modelName,
    protocolVersion: annotations.protocolVersion ?? facts.protocolVersion,
    timeoutMs: annotations.timeoutMs ?? facts.timeoutMs ?? defaults.timeoutMs,
    batching: facts.hasBatcher === true ? 'off' : defaults.batching,
    // A lane is a session of its own: an object of the cluster must not be able to open sessions.
    lane: false,
    credential,
  }
}

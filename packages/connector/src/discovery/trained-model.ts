// Maps a TrainedModel: one model of several on the server of an InferenceService.
import { protocolOf, protocolVersions, type ProtocolVersion } from '@inferwire/protocol'
import { conditionOf } from './condition.ts'
import type { Refusal } from './discovered-model.ts'
import { shown, textAt } from './untrusted-object.ts'
import type { KindFacts, KindInput } from './kind-facts.ts'

/** Maps a TrainedModel. Its address is that of its InferenceService, whose status was checked already. */
export function trainedModel({ key, object, parent }: KindInput): KindFacts | Refusal {
  const service = textAt(object, 'spec', 'inferenceService')
  if (service === undefined) {
    return {
      refused: 'parent',
      message: `TrainedModel "${key.namespace}/${key.name}" has no spec.inferenceService. Set it to the InferenceService that serves the model.`,
    }
  }
  const own = conditionOf(object, false)
  const isServed = parent?.condition.state === 'ready'
  const missing = {
    state: 'not_ready',
    reason: 'its InferenceService is not ready or not exposed',
    detail: `InferenceService "${shown(service)}"`,
  } as const
  return {
    condition: own.state === 'ready' && !isServed ? missing : own,
    address: parent?.address,
    protocolVersion: parent?.options.protocolVersion ?? statedIn(textAt(object, 'status', 'url')),
    modelName: undefined,
    timeoutMs: parent?.options.timeoutMs,
    hasBatcher: parent?.options.batching === 'off',
    traits: { queries: parent?.traits.queries ?? 'usual' },
  }
}

// The URL in the status ends in the path of the protocol's inference operation.
function statedIn(url: string | undefined): ProtocolVersion | undefined {
  const [, root] = /^https?:\/\/[^/]+\/([a-z0-9]+)\/models\//.exec(url ?? '') ?? []
  return protocolVersions().find((each) => each === root && protocolOf(each).transport === 'http')
}

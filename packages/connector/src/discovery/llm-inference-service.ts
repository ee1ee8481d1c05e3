// Maps an LLMInferenceService, whose servers have the OpenAI-compatible API.
import { dialectOfKind } from '@inferwire/protocol'
import { conditionOf } from './condition.ts'
import { isRefusal, type Address, type Refusal } from './discovered-model.ts'
import { withAddress } from './inference-service.ts'
import { listAt, textAt } from './untrusted-object.ts'
import type { KindFacts, KindInput } from './kind-facts.ts'
import { gatewayAddress, serviceAddress } from './service-address.ts'

/** Maps an LLMInferenceService (v1alpha1, v1alpha2). */
export function llmInferenceService(input: KindInput): KindFacts | Refusal {
  const { key, object } = input
  const address = addressOf(input)
  if (isRefusal(address)) return address
  return {
    condition: withAddress(conditionOf(object, false), address),
    address,
    protocolVersion: dialectOfKind(key.kind),
    modelName: textAt(object, 'spec', 'model', 'name'),
    traits: { queries: 'usual' },
  }
}

// The status lists several addresses: those of gateways, and without a router that of the workload's Service.
function addressOf({ key, object, rules }: KindInput): Address | Refusal | undefined {
  const listed = listAt(object, 'status', 'addresses').flatMap((each) => textAt(each, 'url') ?? [])
  const urls = [textAt(object, 'status', 'address', 'url'), textAt(object, 'status', 'url'), ...listed]
  let refusal: Refusal | undefined
  for (const url of urls) {
    if (url === undefined) continue
    const address =
      rules.gateway === undefined ? serviceAddress(key, url, rules) : gatewayAddress(key, url, rules.gateway)
    if (!isRefusal(address)) return address
    refusal ??= address
  }
  return refusal
}

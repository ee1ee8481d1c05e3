// Maps an InferenceService.
import type { ModelTraits } from '../step.ts'
import { conditionOf } from './condition.ts'
import { isRefusal, type Address, type ObjectKey, type Refusal } from './discovered-model.ts'
import { mapAt, textAt, type UntrustedObject } from './untrusted-object.ts'
import type { KindFacts, KindInput } from './kind-facts.ts'
import {
  hasBatcher,
  modelNameOf,
  modeOf,
  protocolVersionOf,
  scalesToZero,
  timeoutMsOf,
} from './predictor-spec.ts'
import type { DiscoveryRules } from './rules.ts'
import { gatewayAddress, hostOf, serviceAddress, serviceOf } from './service-address.ts'

/** Maps an InferenceService in the modes Knative and Standard. */
export function inferenceService({ key, object, rules }: KindInput): KindFacts | Refusal {
  const mode = modeOf(object)
  if (mode === 'ModelMesh') {
    return {
      refused: 'mode',
      message: `InferenceService "${key.namespace}/${key.name}" uses ModelMesh, which the connector does not support. Use the mode Standard or Knative (annotation serving.kserve.io/deploymentMode).`,
    }
  }
  const isCold = scalesToZero(object, mode)
  const protocolVersion = protocolVersionOf(key, object, isCold)
  if (isRefusal(protocolVersion)) return protocolVersion
  const address = addressOf(key, object, rules)
  if (isRefusal(address)) return address
  const explainer = address === undefined ? undefined : explainerOf(key, object, address, rules)
  const traits: ModelTraits = {
    queries: isCold ? 'when-awake' : 'usual',
    ...(explainer === undefined ? {} : { explainer }),
  }
  return {
    condition: withAddress(conditionOf(object, mode === 'Knative'), address),
    address,
    protocolVersion,
    modelName: modelNameOf(object),
    timeoutMs: timeoutMsOf(object),
    hasBatcher: hasBatcher(object),
    traits,
  }
}

/** A model without an address cannot be called, whatever its conditions are. */
export function withAddress(
  condition: KindFacts['condition'],
  address: Address | undefined,
): KindFacts['condition'] {
  return condition.state === 'ready' && address === undefined
    ? { state: 'not_ready', reason: 'KServe has not reported its address yet' }
    : condition
}

function addressOf(
  key: ObjectKey,
  object: UntrustedObject,
  rules: DiscoveryRules,
): Address | Refusal | undefined {
  if (rules.gateway !== undefined) {
    const external = textAt(object, 'status', 'url')
    return external === undefined ? undefined : gatewayAddress(key, external, rules.gateway)
  }
  const url = textAt(object, 'status', 'address', 'url')
  return url === undefined ? undefined : serviceAddress(key, url, rules)
}

// The host `{name}.{namespace}…` is a route of Istio, which sends `:explain` to the explainer. Every other host is the
// Service of one component. A gateway's host leads to all components.
function explainerOf(
  key: ObjectKey,
  object: UntrustedObject,
  address: Address,
  { clusterDomain, gateway }: DiscoveryRules,
): Address | undefined {
  if (gateway !== undefined || mapAt(object, 'spec', 'explainer') === undefined) return undefined
  const host = hostOf(address.url)
  const service = serviceOf(key, host, clusterDomain)!
  if (service === key.name) return undefined
  const url = `http://${key.name}-explainer${host.slice(service.length)}`
  return URL.canParse(url) ? { url, host: undefined } : undefined
}

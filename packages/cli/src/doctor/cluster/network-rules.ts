// Evaluates NetworkPolicies for connections from the connector's namespace to the pods of an InferenceService.
import type { KubeObject } from '@inferwire/connector'
import { mapOf } from './inference-service.ts'
import { matchesSelector, podLabels } from './labels.ts'

type Labels = Readonly<Record<string, string>>

/**
 * Returns the names of the policies that isolate the pods if none of them accepts the connector's namespace; otherwise
 * an empty list. Ports are ignored. `labels` are those of the connector's namespace.
 */
export function blocksCaller(
  policies: readonly KubeObject[],
  service: { readonly name: string; readonly namespace: string },
  fromNamespace: string,
  labels: Labels,
): string[] {
  const pods = podLabels(service)
  const isolating = policies.filter(({ metadata, spec }) => {
    const { podSelector, policyTypes } = mapOf(spec)
    const isIngress = !Array.isArray(policyTypes) || policyTypes.includes('Ingress')
    return metadata.namespace === service.namespace && isIngress && matchesSelector(podSelector, pods)
  })
  const isSame = fromNamespace === service.namespace
  const named = { 'kubernetes.io/metadata.name': fromNamespace, ...labels }
  const isAccepted = isolating.some(({ spec }) => {
    const { ingress } = mapOf(spec)
    return Array.isArray(ingress) && ingress.some((rule) => accepts(mapOf(rule)['from'], isSame, named))
  })
  return isAccepted ? [] : isolating.map(({ metadata }) => metadata.name)
}

// A peer with only a podSelector means pods of the policy's own namespace. The connector's pod labels are not known, so
// any podSelector counts as matching. The addresses of pods change, so a peer with an ipBlock does not count.
function accepts(from: unknown, isSame: boolean, labels: Labels): boolean {
  if (!Array.isArray(from) || from.length === 0) return true
  return from.map(mapOf).some((peer) => {
    if (peer['ipBlock'] !== undefined) return false
    return peer['namespaceSelector'] === undefined
      ? isSame
      : matchesSelector(peer['namespaceSelector'], labels)
  })
}

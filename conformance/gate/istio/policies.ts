// The generated AuthorizationPolicies whose rendering by Istio is recorded.
import { manifestParts, type ConnectorOptions, type KubeflowOptions } from '@inferwire/kubernetes'
import type { AuthorizationPolicy } from '../authorization-policy.ts'

interface Way {
  readonly kubeflow: Pick<KubeflowOptions, 'mode' | 'ambient'>
  readonly modelToken?: NonNullable<ConnectorOptions['modelToken']>
}

/** The ways to a model, each with its options. */
const WAYS = {
  'standard, in the mesh': { kubeflow: { mode: 'standard' } },
  'knative, in the mesh': { kubeflow: { mode: 'knative' } },
  'standard, through the gateway': { kubeflow: { mode: 'standard' }, modelToken: {} },
  'knative, through the gateway': { kubeflow: { mode: 'knative' }, modelToken: {} },
  'standard, in an ambient mesh': { kubeflow: { mode: 'standard', ambient: true } },
} satisfies Record<string, Way>

/** The name of a way. */
export type WayName = keyof typeof WAYS

/** Returns the policy that allows the connector to call the InferenceService `iris` in the namespace `alice`. */
export function policyFor(name: WayName): AuthorizationPolicy {
  const { kubeflow, ...connector }: Way = WAYS[name]
  const place = { modelNamespace: 'alice', inferenceServices: ['iris'] }
  const { kubeflow: objects } = manifestParts({
    connector: { ...connector, kubeflow: { ...place, ...kubeflow } },
  })
  const { metadata, spec } = objects.find(({ kind }) => kind === 'AuthorizationPolicy')!
  return {
    metadata: { name: metadata.name, namespace: metadata.namespace! },
    spec: spec as AuthorizationPolicy['spec'],
  }
}

/** Returns the policies of all ways, by the way's name. */
export function allPolicies(): Record<string, AuthorizationPolicy> {
  return Object.fromEntries((Object.keys(WAYS) as WayName[]).map((name) => [name, policyFor(name)]))
}

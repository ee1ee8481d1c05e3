// The status that Knative's controllers write.
import type { KubeObject } from '../kube-api.ts'

/** Returns the status of a Knative Service whose first revision is ready. */
export function knativeStatus(name: string, namespace: string, generation: number): KubeObject {
  const revision = `${name}-00001`
  const lastTransitionTime = new Date().toISOString()
  return {
    observedGeneration: generation,
    url: `http://${name}.${namespace}.example.com`,
    address: { url: `http://${name}.${namespace}.svc.cluster.local` },
    latestCreatedRevisionName: revision,
    latestReadyRevisionName: revision,
    traffic: [{ latestRevision: true, percent: 100, revisionName: revision }],
    conditions: ['ConfigurationsReady', 'Ready', 'RoutesReady'].map((type) => ({
      type,
      status: 'True',
      lastTransitionTime,
    })),
  }
}

// Stands in for Knative's controllers and its network layer: runs each Knative Service as one pod behind a Kubernetes
// Service, and sets its status.
import { knativeStatus } from '../kserve/knative-status.ts'
import type { KubeApi, KubeObject } from '../kube-api.ts'

const SERVICES = '/apis/serving.knative.dev/v1'
const LABEL = 'serving.knative.dev/service'

/** Handles all Knative Services until the signal is aborted. Knative's CRD must be installed. */
export async function startKnativeController(api: KubeApi, signal: AbortSignal): Promise<void> {
  await api.watch(`${SERVICES}/services`, signal, (service, isDeleted) => {
    if (!isDeleted)
      void reconcile(api, service).catch((error: unknown) => console.error('Knative stand-in:', error))
  })
  await api.watch('/apis/apps/v1/deployments', signal, (deployment, isDeleted) => {
    const name = deployment.metadata.labels?.[LABEL]
    if (isDeleted || name === undefined || (deployment.status?.availableReplicas ?? 0) === 0) return
    const { namespace } = deployment.metadata
    const status = knativeStatus(name, namespace, 1)
    void api.patch(`${SERVICES}/namespaces/${namespace}/services/${name}/status`, { status }).catch(() => {})
  })
}

async function reconcile(api: KubeApi, service: KubeObject): Promise<void> {
  const { name, namespace, uid, deletionTimestamp } = service.metadata
  if (deletionTimestamp !== undefined) return
  const owner = { apiVersion: 'serving.knative.dev/v1', kind: 'Service', name, uid, controller: true }
  const labels = { [LABEL]: name }
  const { metadata, spec } = service.spec.template
  const { containers, volumes, serviceAccountName } = spec
  await api.apply(`/api/v1/namespaces/${namespace}/services/${name}`, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace, labels, ownerReferences: [owner] },
    spec: { selector: labels, ports: [{ name: 'http', port: 80, targetPort: 8080, protocol: 'TCP' }] },
  })
  const deployment = `${name}-00001-deployment`
  await api.apply(`/apis/apps/v1/namespaces/${namespace}/deployments/${deployment}`, {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: deployment, namespace, labels, ownerReferences: [owner] },
    spec: {
      replicas: 1,
      selector: { matchLabels: labels },
      template: {
        metadata: { ...metadata, labels: { ...metadata.labels, ...labels } },
        spec: { containers, volumes, serviceAccountName },
      },
    },
  })
}

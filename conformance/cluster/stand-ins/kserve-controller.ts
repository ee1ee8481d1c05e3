// Stands in for KServe's controller in standard (raw deployment) mode: creates a Deployment and a Service for each
// InferenceService, and sets its status.
import type { KubeApi, KubeObject } from '../kube-api.ts'

const GROUP = '/apis/serving.kserve.io/v1beta1'

/** Handles all InferenceServices with a scikit-learn predictor until the signal is aborted. */
export async function startKserveController(api: KubeApi, signal: AbortSignal): Promise<void> {
  const services = new Map<string, KubeObject>()
  await api.watch(`${GROUP}/inferenceservices`, signal, (service, isDeleted) => {
    if (isDeleted) return void services.delete(key(service))
    services.set(key(service), service)
    void reconcile(api, service).catch((error: unknown) => console.error('KServe stand-in:', error))
  })
  await api.watch('/apis/apps/v1/deployments', signal, (deployment, isDeleted) => {
    const name = deployment.metadata.labels?.['serving.kserve.io/inferenceservice']
    const service = services.get(`${deployment.metadata.namespace}/${name}`)
    if (service === undefined || isDeleted) return
    void report(api, service, (deployment.status.availableReplicas ?? 0) > 0).catch(() => {})
  })
}

async function reconcile(api: KubeApi, service: KubeObject): Promise<void> {
  const { name, namespace, uid } = service.metadata
  const labels = { app: `isvc.${name}-predictor`, 'serving.kserve.io/inferenceservice': name }
  const owner = {
    apiVersion: 'serving.kserve.io/v1beta1',
    kind: 'InferenceService',
    name,
    uid,
    controller: true,
  }
  const metadata = { name: `${name}-predictor`, namespace, labels, ownerReferences: [owner] }
  await api.apply(`/api/v1/namespaces/${namespace}/services/${metadata.name}`, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata,
    spec: { selector: labels, ports: [{ name: metadata.name, port: 80, targetPort: 8080, protocol: 'TCP' }] },
  })
  await api.apply(`/apis/apps/v1/namespaces/${namespace}/deployments/${metadata.name}`, {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata,
    spec: {
      replicas: service.spec.predictor.minReplicas ?? 1,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [container(name)] } },
    },
  })
}

// Returns the container that KServe's ClusterServingRuntime kserve-sklearnserver creates for a predictor.
function container(model: string): KubeObject {
  return {
    name: 'kserve-container',
    image: 'kserve/sklearnserver:v0.15.2',
    args: [`--model_name=${model}`, '--model_dir=/mnt/models', '--http_port=8080'],
    ports: [{ containerPort: 8080, name: 'user-port', protocol: 'TCP' }],
    readinessProbe: { httpGet: { path: `/v2/models/${model}/ready`, port: 8080 }, periodSeconds: 2 },
  }
}

async function report(api: KubeApi, service: KubeObject, isReady: boolean): Promise<void> {
  const { name, namespace, generation } = service.metadata
  const status = isReady ? 'True' : 'False'
  const lastTransitionTime = new Date().toISOString()
  await api.patch(`${GROUP}/namespaces/${namespace}/inferenceservices/${name}/status`, {
    status: {
      observedGeneration: generation,
      url: `http://${name}-${namespace}.example.com`,
      address: { url: `http://${name}-predictor.${namespace}.svc.cluster.local` },
      conditions: ['PredictorReady', 'IngressReady', 'Ready'].map((type) => ({
        type,
        status,
        lastTransitionTime,
      })),
      modelStatus: {
        states: {
          activeModelState: isReady ? 'Loaded' : '',
          targetModelState: isReady ? 'Loaded' : 'Pending',
        },
      },
    },
  })
}

function key({ metadata }: KubeObject): string {
  return `${metadata.namespace}/${metadata.name}`
}

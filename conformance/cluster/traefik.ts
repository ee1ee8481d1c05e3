// Installs Traefik as the guide requires it: Deployment, Service and RBAC, without MQTT.
import type { KubeApi, KubeObject } from './kube-api.ts'

const NAMESPACE = 'traefik'
const LABELS = { 'app.kubernetes.io/name': 'traefik' }
const VERSION = '3.7.15'

/** Creates Traefik's objects. Traefik then runs like any other pod. */
export async function installTraefik(api: KubeApi): Promise<void> {
  await api.create('/api/v1/namespaces', {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: NAMESPACE },
  })
  for (const [path, object] of objects()) await api.create(path, object)
}

// The RBAC rules are from the documentation of Traefik's provider kubernetesCRD.
function objects(): [string, KubeObject][] {
  const metadata = { name: 'traefik', namespace: NAMESPACE, labels: LABELS }
  const read = ['get', 'list', 'watch']
  const rbac = '/apis/rbac.authorization.k8s.io/v1'
  return [
    [
      `/api/v1/namespaces/${NAMESPACE}/serviceaccounts`,
      { apiVersion: 'v1', kind: 'ServiceAccount', metadata },
    ],
    [
      `${rbac}/clusterroles`,
      {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'ClusterRole',
        metadata: { name: 'traefik' },
        rules: [
          { apiGroups: [''], resources: ['services', 'secrets', 'nodes', 'configmaps'], verbs: read },
          { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: read },
          { apiGroups: ['networking.k8s.io'], resources: ['ingresses', 'ingressclasses'], verbs: read },
          { apiGroups: ['traefik.io'], resources: ['*'], verbs: read },
        ],
      },
    ],
    [
      `${rbac}/clusterrolebindings`,
      {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'ClusterRoleBinding',
        metadata: { name: 'traefik' },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'traefik' },
        subjects: [{ kind: 'ServiceAccount', name: 'traefik', namespace: NAMESPACE }],
      },
    ],
    [
      `/apis/apps/v1/namespaces/${NAMESPACE}/deployments`,
      { apiVersion: 'apps/v1', kind: 'Deployment', metadata, spec: deploymentSpec() },
    ],
    [
      `/api/v1/namespaces/${NAMESPACE}/services`,
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata,
        spec: {
          type: 'LoadBalancer',
          selector: LABELS,
          ports: [
            { name: 'web', port: 80, targetPort: 'web' },
            { name: 'websecure', port: 443, targetPort: 'websecure' },
          ],
        },
      },
    ],
  ]
}

function deploymentSpec(): KubeObject {
  return {
    replicas: 1,
    selector: { matchLabels: LABELS },
    template: {
      metadata: { labels: LABELS },
      spec: {
        serviceAccountName: 'traefik',
        terminationGracePeriodSeconds: 15,
        containers: [
          {
            name: 'traefik',
            image: `traefik:v${VERSION}`,
            args: [
              '--global.checknewversion=false',
              '--global.sendanonymoususage=false',
              '--entrypoints.traefik.address=:8080/tcp',
              '--entrypoints.web.address=:8000/tcp',
              '--entrypoints.websecure.address=:8443/tcp',
              '--entrypoints.web.asdefault=true',
              '--entrypoints.websecure.asdefault=true',
              '--ping=true',
              '--providers.kubernetescrd=true',
            ],
            ports: [
              { name: 'traefik', containerPort: 8080 },
              { name: 'web', containerPort: 8000 },
              { name: 'websecure', containerPort: 8443 },
            ],
            readinessProbe: { httpGet: { path: '/ping', port: 'traefik' }, periodSeconds: 1 },
          },
        ],
      },
    },
  }
}

// Minimal CRDs for the kinds of Traefik, Istio, KServe's LLMs and the Gateway API. The schemas of Traefik's routes list the
// documented fields that a broker could need, so a misspelt field is rejected; the other kinds accept any field.
import type { KubeApi, KubeObject } from './kube-api.ts'
import { createCrds } from './kserve/controller.ts'

const TRAEFIK = [
  'IngressRoute',
  'IngressRouteTCP',
  'IngressRouteUDP',
  'Middleware',
  'MiddlewareTCP',
  'ServersTransport',
  'ServersTransportTCP',
  'TLSOption',
  'TLSStore',
  'TraefikService',
]

const KINDS: readonly (readonly [group: string, version: string, kind: string])[] = [
  ...TRAEFIK.map((kind) => ['traefik.io', 'v1alpha1', kind] as const),
  // A KServe controller of its own handles this kind, which is not part of these tests.
  ['serving.kserve.io', 'v1alpha2', 'LLMInferenceService'],
  // The API group of Traefik versions before 2.10.
  ['traefik.containo.us', 'v1alpha1', 'IngressRoute'],
  ['traefik.containo.us', 'v1alpha1', 'IngressRouteTCP'],
  // Configures the Traefik that k3s installs.
  ['helm.cattle.io', 'v1', 'HelmChartConfig'],
  ['security.istio.io', 'v1', 'AuthorizationPolicy'],
  ['gateway.networking.k8s.io', 'v1', 'Gateway'],
  ['gateway.networking.k8s.io', 'v1alpha2', 'TCPRoute'],
]

const ANY = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true }
const TEXT = { type: 'string' }

/** Creates the CRDs, and waits until the API server serves them. */
export async function applyCrds(api: KubeApi): Promise<void> {
  await createCrds(
    api,
    KINDS.map(([group, version, kind]) => definitionOf(group, version, kind)),
  )
}

function definitionOf(group: string, version: string, kind: string): KubeObject {
  const singular = kind.toLowerCase()
  const plural = singular.endsWith('y') ? `${singular.slice(0, -1)}ies` : `${singular}s`
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: {
      name: `${plural}.${group}`,
      // The API server requires this annotation for API groups of the Kubernetes project.
      annotations: { 'api-approved.kubernetes.io': 'unapproved, for tests' },
    },
    spec: {
      group,
      scope: 'Namespaced',
      names: {
        kind,
        singular,
        plural,
        listKind: `${kind}List`,
      },
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          subresources: { status: {} },
          schema: {
            openAPIV3Schema:
              kind === 'IngressRoute' || kind === 'IngressRouteTCP' ? routeSchema(group, kind) : ANY,
          },
        },
      ],
    },
  }
}

function routeSchema(group: string, kind: string): KubeObject {
  const isTcp = kind === 'IngressRouteTCP'
  const reference = fields({ name: TEXT, namespace: TEXT }, 'name')
  const service = fields(
    {
      name: TEXT,
      namespace: TEXT,
      port: { 'x-kubernetes-int-or-string': true },
      weight: { type: 'integer' },
      serversTransport: TEXT,
      // Traefik added `nativeLB` in 2.10, the first version with the group traefik.io.
      ...(group === 'traefik.io' ? { nativeLB: { type: 'boolean' } } : {}),
      ...(isTcp
        ? { proxyProtocol: fields({ version: { type: 'integer', minimum: 1, maximum: 2 } }) }
        : { kind: { enum: ['Service', 'TraefikService'], ...TEXT }, scheme: TEXT }),
    },
    'name',
    ...(isTcp ? ['port'] : []),
  )
  const route = fields(
    {
      match: TEXT,
      priority: { type: 'integer' },
      services: listOf(service),
      middlewares: listOf(reference),
      ...(isTcp ? {} : { kind: { enum: ['Rule'], ...TEXT } }),
    },
    'match',
    ...(isTcp ? [] : ['kind']),
  )
  const tls = fields({
    secretName: TEXT,
    options: reference,
    store: reference,
    ...(isTcp ? { passthrough: { type: 'boolean' } } : {}),
  })
  const spec = fields({ entryPoints: listOf(TEXT), routes: listOf(route), tls }, 'routes')
  return fields({ apiVersion: TEXT, kind: TEXT, metadata: { type: 'object' }, spec }, 'metadata', 'spec')
}

function fields(properties: KubeObject, ...required: string[]): KubeObject {
  return { type: 'object', properties, ...(required.length === 0 ? {} : { required }) }
}

function listOf(items: KubeObject): KubeObject {
  return { type: 'array', items }
}

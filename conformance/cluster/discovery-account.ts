// Creates ServiceAccounts that may read KServe's kinds, as discovery needs it.
import type { KubeApi } from './kube-api.ts'
import { collectionOf } from './kserve/chart.ts'

const RBAC = 'rbac.authorization.k8s.io'
/** KServe's kinds, by their names in Roles. */
export const KSERVE_RESOURCES = [
  'inferenceservices',
  'inferencegraphs',
  'trainedmodels',
  'llminferenceservices',
] as const

/** Permits a ServiceAccount to read KServe's kinds in one namespace, or in all if `namespace` is undefined. */
export async function permitDiscovery(
  api: KubeApi,
  account: { readonly name: string; readonly namespace: string },
  namespace?: string,
): Promise<void> {
  const scope = namespace === undefined ? {} : { namespace }
  const metadata = { name: `${account.name}-discovery`, ...scope }
  const kind = namespace === undefined ? 'ClusterRole' : 'Role'
  const rules = [
    { apiGroups: ['serving.kserve.io'], resources: KSERVE_RESOURCES, verbs: ['get', 'list', 'watch'] },
  ]
  const binding = {
    apiVersion: `${RBAC}/v1`,
    kind: `${kind}Binding`,
    metadata,
    roleRef: { apiGroup: RBAC, kind, name: metadata.name },
    subjects: [{ kind: 'ServiceAccount', ...account }],
  }
  for (const object of [{ apiVersion: `${RBAC}/v1`, kind, metadata, rules }, binding]) {
    await api.create(collectionOf(object), object)
  }
}

/** Creates a ServiceAccount, and returns a token for it. */
export async function createAccount(api: KubeApi, name: string, namespace: string): Promise<string> {
  const accounts = `/api/v1/namespaces/${namespace}/serviceaccounts`
  await api.create(accounts, { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name } })
  return await tokenOf(api, name, namespace)
}

/** Returns a token for a ServiceAccount. */
export async function tokenOf(api: KubeApi, name: string, namespace: string): Promise<string> {
  const { status } = await api.create(`/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`, {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: {},
  })
  return status.token as string
}

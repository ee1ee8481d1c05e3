// Checks the rights of the connector's ServiceAccount: enough, and not more.
import type { ConnectorConfig } from '@inferwire/connector'
import { fault, notChecked, ok, warning, type Check, type Finding } from '../check.ts'
import { mapOf } from './inference-service.ts'
import { accessReview } from './kube-paths.ts'
import { clusterOf, type Cluster, type ServiceAccount } from './open-cluster.ts'

/** An action at the API server. */
interface Right {
  readonly verb: string
  readonly group: string
  readonly resource: string
}

/** Rights in one namespace; an empty text means all namespaces. */
interface Scoped {
  readonly namespace: string
  readonly rights: readonly Right[]
}

const READ = ['get', 'list', 'watch']
const KSERVE_GROUP = 'serving.kserve.io'
// Rights with which a connector that was taken over could take over models, or the cluster.
const EXCESSIVE: readonly Right[] = [
  { verb: 'get', group: '', resource: 'secrets' },
  { verb: 'list', group: '', resource: 'secrets' },
  { verb: 'create', group: '', resource: 'pods' },
  { verb: 'create', group: '', resource: 'pods/exec' },
  { verb: 'create', group: '', resource: 'serviceaccounts/token' },
  { verb: 'update', group: '', resource: 'configmaps' },
  { verb: 'patch', group: 'apps', resource: 'deployments' },
  { verb: 'create', group: 'rbac.authorization.k8s.io', resource: 'rolebindings' },
  { verb: 'update', group: 'serving.kserve.io', resource: 'inferenceservices' },
  { verb: 'delete', group: 'serving.kserve.io', resource: 'inferenceservices' },
  { verb: 'patch', group: 'security.istio.io', resource: 'authorizationpolicies' },
]

export const clusterRights: Check = {
  id: 'cluster.rights',
  title: "the connector's ServiceAccount has the rights that it needs, and no others",
  needs: ['cluster.kserve'],
  run: async (context, signal) => {
    const cluster = clusterOf(context)
    if (!cluster.isAccount) {
      return notChecked(`"${cluster.user}" is not a ServiceAccount; run the command in the connector's pod`)
    }
    const { config } = context
    const needed = 'missing' in config ? [] : neededRights(config.value, cluster.namespaces)
    const more = cluster.namespaces.map((namespace) => ({ namespace, rights: EXCESSIVE }))
    return judgeRights(
      cluster,
      await select(needed, async (right, namespace) => !(await mayDo(cluster, right, namespace, signal))),
      await select(more, (right, namespace) => mayDo(cluster, right, namespace, signal)),
    )
  },
}

/** Returns the rights that the connector needs in these namespaces: none without discovery. */
export function neededRights(
  { discovery }: Pick<ConnectorConfig, 'discovery'>,
  namespaces: readonly string[],
): Scoped[] {
  const { enabled, kinds, namespaceSelector, namespaces: listed } = discovery
  if (!enabled) return []
  const rights = kinds.flatMap((kind) => readRights(KSERVE_GROUP, `${kind.toLowerCase()}s`))
  if (namespaceSelector !== undefined) {
    return [{ namespace: '', rights: [...rights, ...readRights('', 'namespaces')] }]
  }
  if (listed.includes('*')) return [{ namespace: '', rights }]
  return namespaces
    .filter((namespace) => listed.includes(namespace))
    .map((namespace) => ({ namespace, rights }))
}

function readRights(group: string, resource: string): Right[] {
  return READ.map((verb) => ({ verb, group, resource }))
}

// Returns the rights for which `isSelected` is true, and omits namespaces without one.
async function select(
  scopes: readonly Scoped[],
  isSelected: (right: Right, namespace: string) => Promise<boolean>,
): Promise<Scoped[]> {
  const selected: Scoped[] = []
  for (const { namespace, rights } of scopes) {
    const answers = await Promise.all(rights.map(async (right) => isSelected(right, namespace)))
    const found = rights.filter((_, index) => answers[index])
    if (found.length > 0) selected.push({ namespace, rights: found })
  }
  return selected
}

async function mayDo(
  { api }: Cluster,
  { verb, group, resource }: Right,
  namespace: string,
  signal: AbortSignal,
): Promise<boolean> {
  const [name, subresource] = resource.split('/')
  const resourceAttributes = {
    verb,
    group,
    resource: name,
    namespace,
    ...(subresource ? { subresource } : {}),
  }
  const { path, object } = accessReview(resourceAttributes)
  const answer = await api.post(path, object, { signal })
  return mapOf(mapOf(answer)['status'])['allowed'] === true
}

/** Judges the rights that the ServiceAccount does not have although it needs them, and those that it has beyond that. */
export function judgeRights(
  { account }: Pick<Cluster, 'account'>,
  missing: readonly Scoped[],
  excessive: readonly Scoped[],
): Finding[] {
  const who = `The ServiceAccount ${account.namespace}/${account.name}`
  const findings = [
    ...missing.map(({ namespace, rights }) =>
      fault(
        `${who} may not ${textOf(rights)} in ${namespace === '' ? 'all namespaces' : namespace}, which discovery needs.`,
        `Grant it the rights:\n${grantOf(account, namespace, rights)}`,
      ),
    ),
    ...excessive.map(({ namespace, rights }) =>
      warning(
        `${who} may do more in ${namespace} than it needs: ${textOf(rights)}.`,
        `Remove the Role or ClusterRole that grants this. Its bindings are listed by: kubectl get rolebindings,clusterrolebindings -A -o wide | grep ${account.name}`,
      ),
    ),
  ]
  return findings.length > 0
    ? findings
    : [ok(`${who} has the rights that it needs, and no others that were checked.`)]
}

function textOf(rights: readonly Right[]): string {
  return rights.map(({ verb, resource }) => `${verb} ${resource}`).join(', ')
}

function grantOf(account: ServiceAccount, namespace: string, rights: readonly Right[]): string {
  const names = rights.map(({ group, resource }) => (group === '' ? resource : `${resource}.${group}`))
  const [kind, place] = namespace === '' ? ['clusterrole', ''] : ['role', ` -n ${namespace}`]
  const what = `--verb=${READ.join(',')} --resource=${[...new Set(names)].join(',')}`
  return [
    `kubectl create ${kind} inferwire${place} ${what}`,
    `kubectl create ${kind}binding inferwire${place} --${kind}=inferwire --serviceaccount=${account.namespace}:${account.name}`,
  ].join('\n')
}

// Checks the rights of the connector's ServiceAccount: enough, and not more.
import { fault, notChecked, ok, warning, type Check, type Finding } from '../check.ts'
import { mapOf } from './inference-service.ts'
import { accessReview } from './kube-paths.ts'
import { clusterOf, type Cluster } from './open-cluster.ts'

/** An action at the API server. */
interface Right {
  readonly verb: string
  readonly group: string
  readonly resource: string
}

const NEEDED: readonly Right[] = ['get', 'list', 'watch'].map((verb) => ({
  verb,
  group: 'serving.kserve.io',
  resource: 'inferenceservices',
}))
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
    const ask = (right: Right, namespace: string): Promise<boolean> =>
      mayDo(cluster, right, namespace, signal)
    const findings: Finding[] = []
    for (const namespace of cluster.namespaces) {
      const allowed = async (rights: readonly Right[]): Promise<Right[]> => {
        const answers = await Promise.all(rights.map(async (right) => ask(right, namespace)))
        return rights.filter((_, index) => answers[index])
      }
      findings.push(...judgeRights(cluster, namespace, await allowed(NEEDED), await allowed(EXCESSIVE)))
    }
    return findings
  },
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

/** Judges the rights in one namespace. `needed` and `excessive` are those that the ServiceAccount has. */
export function judgeRights(
  { account }: Pick<Cluster, 'account'>,
  namespace: string,
  needed: readonly Right[],
  excessive: readonly Right[],
): Finding[] {
  const who = `The ServiceAccount ${account.namespace}/${account.name}`
  const missing = NEEDED.filter(({ verb }) => !needed.some((right) => right.verb === verb))
  const findings: Finding[] = []
  if (missing.length > 0) {
    findings.push(
      fault(
        `${who} may not ${missing.map(({ verb }) => verb).join(', ')} the InferenceServices in ${namespace}.`,
        `Grant it the rights:\nkubectl create role inferwire -n ${namespace} --verb=get,list,watch --resource=inferenceservices.serving.kserve.io\nkubectl create rolebinding inferwire -n ${namespace} --role=inferwire --serviceaccount=${account.namespace}:${account.name}`,
      ),
    )
  }
  if (excessive.length > 0) {
    const list = excessive.map(({ verb, resource }) => `${verb} ${resource}`)
    findings.push(
      warning(
        `${who} may do more in ${namespace} than it needs: ${list.join(', ')}.`,
        `Remove the Role or ClusterRole that grants this. Its bindings are listed by: kubectl get rolebindings,clusterrolebindings -A -o wide | grep ${account.name}`,
      ),
    )
  }
  return findings.length > 0
    ? findings
    : [ok(`${who} may read the InferenceServices in ${namespace}, and nothing else that was checked.`)]
}

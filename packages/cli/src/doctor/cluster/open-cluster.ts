// The access to the Kubernetes API, and what the checks of a cluster have found out.
import { KubeApi, KubeError } from '@inferwire/connector'
import type { DoctorContext } from '../context.ts'
import type { ClusterFlags } from './cluster-flags.ts'
import type { FoundService } from './inference-service.ts'
import { SELF_SUBJECT_REVIEW } from './kube-paths.ts'
import { serviceOfHost } from './service-host.ts'

/** The namespace and name of the connector's ServiceAccount. */
export interface ServiceAccount {
  readonly namespace: string
  readonly name: string
}

/** What later checks need. */
export interface Cluster {
  readonly api: KubeApi
  /** The namespaces in which models are looked for. */
  readonly namespaces: readonly string[]
  /** The user name that the API server sees. */
  readonly user: string
  /** The ServiceAccount whose rights and network access are checked. */
  readonly account: ServiceAccount
  /** Whether the access uses the token of `account` itself. */
  readonly isAccount: boolean
  readonly services: FoundService[]
  /** The namespaces whose InferenceServices this user may not read. */
  readonly unreadable: Set<string>
}

const clusters = new WeakMap<DoctorContext, Cluster>()
const DEFAULT_ACCOUNT: ServiceAccount = { namespace: 'inferwire', name: 'inferwire' }

/** Returns what `openCluster` found. */
export function clusterOf(context: DoctorContext): Cluster {
  const cluster = clusters.get(context)
  if (cluster === undefined) throw new Error('cluster.access has not run')
  return cluster
}

/** Whether the user asked for the checks of a cluster, or this process runs in a pod with a token. */
export function isClusterNamed(flags: ClusterFlags, env: NodeJS.ProcessEnv, hasToken: boolean): boolean {
  const { kubeconfig, context, namespace } = flags
  if ([kubeconfig, context, namespace].some((flag) => flag !== undefined)) return true
  return (env['KUBECONFIG'] ?? '') !== '' || hasToken
}

/** Reads the user name, and keeps the access for later checks. @throws KubeError */
export async function openCluster(
  context: DoctorContext,
  flags: ClusterFlags,
  env: NodeJS.ProcessEnv,
  signal: AbortSignal,
): Promise<Cluster> {
  const api = KubeApi.find({
    env,
    ...(flags.kubeconfig === undefined ? {} : { kubeconfig: flags.kubeconfig }),
    ...(flags.context === undefined ? {} : { context: flags.context }),
  })
  const user = await userOf(api, signal)
  const [, namespace, name] = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(user) ?? []
  const isAccount = namespace !== undefined && name !== undefined
  const account = isAccount ? { namespace, name } : DEFAULT_ACCOUNT
  const namespaces = namespacesOf(context, flags.namespace, api.namespace)
  const cluster: Cluster = { api, namespaces, user, account, isAccount, services: [], unreadable: new Set() }
  clusters.set(context, cluster)
  return cluster
}

/** Closes the connections to the API server. */
export async function closeCluster(context: DoctorContext): Promise<void> {
  await clusters.get(context)?.api.close()
}

// Kubernetes before 1.28 has no SelfSubjectReview.
async function userOf(api: KubeApi, signal: AbortSignal): Promise<string> {
  try {
    const answer = await api.post(SELF_SUBJECT_REVIEW.path, SELF_SUBJECT_REVIEW.object, { signal })
    const { status } = answer as { readonly status?: { readonly userInfo?: { readonly username?: unknown } } }
    return typeof status?.userInfo?.username === 'string' ? status.userInfo.username : ''
  } catch (error) {
    if (error instanceof KubeError && error.status === 404) return ''
    throw error
  }
}

/** Without -n: the namespaces of discovery and of the configured models' Services, or else the namespace of the access. */
export function namespacesOf(
  { config }: Pick<DoctorContext, 'config'>,
  given: string | undefined,
  own: string | undefined,
): string[] {
  if (given !== undefined) return [given]
  if ('missing' in config) return [own ?? 'default']
  const { models, discovery } = config.value
  const listed = discovery.enabled ? [...discovery.namespaces, discovery.defaultNamespace ?? '*'] : []
  const ofModels = Object.values(models).flatMap(({ url, host }) => {
    return serviceOfHost(host ?? new URL(url).host)?.namespace ?? []
  })
  // `*` is not the name of a namespace.
  const named = [...listed.filter((name) => name !== '*'), ...ofModels]
  return named.length > 0 ? [...new Set(named)] : [own ?? 'default']
}

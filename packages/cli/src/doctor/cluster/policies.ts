// Checks that AuthorizationPolicies and NetworkPolicies let the connector reach the models; prints those that are missing.
import { collectionPath, KubeError, type KubeApi, type KubeKind, type KubeObject } from '@inferwire/connector'
import { manifestParts, manifestText } from '@inferwire/kubernetes'
import { fault, notChecked, ok, warning, type Check, type Finding } from '../check.ts'
import type { DoctorContext } from '../context.ts'
import { unreadable } from './access.ts'
import { judgeCaller, type Verdict } from './authorization-rules.ts'
import { callersOf, tokenOwnerOf, type TokenOwner } from './callers.ts'
import type { FoundService } from './inference-service.ts'
import { AUTHORIZATION_POLICIES, namespacePath, NETWORK_API, NETWORK_POLICIES } from './kube-paths.ts'
import { meshModeOf } from './mesh.ts'
import { blocksCaller } from './network-rules.ts'
import { clusterOf, type Cluster } from './open-cluster.ts'
import { ownerOf, serviceOfHost } from './service-host.ts'

const POLICIES_MAX = 2_000
const FINDINGS_MAX = 20
// Policies in the root namespace apply to the whole mesh.
const ROOT_NAMESPACE = 'istio-system'

export const clusterAuthorization: Check = {
  id: 'cluster.authorization',
  title: 'AuthorizationPolicies let the connector call the models, and not everyone',
  needs: ['cluster.models'],
  run: async (context, signal) => {
    const cluster = clusterOf(context)
    const { api, namespaces } = cluster
    const wanted = wantedServices(context, cluster)
    if (wanted.length === 0) return notChecked('there are no InferenceServices to call')
    try {
      const policies = await listAll(api, AUTHORIZATION_POLICIES, [...namespaces, ROOT_NAMESPACE], signal)
      if (policies === undefined) return notChecked('Istio is not installed')
      const labels = new Map<string, Readonly<Record<string, string>>>()
      for (const namespace of namespaces) {
        const object = (await api.get(namespacePath(namespace), { signal })) as KubeObject
        labels.set(namespace, object.metadata.labels ?? {})
      }
      return judgeAuthorization(cluster, wanted, policies, {
        token: tokenOwnerOf(context.config),
        isAmbient: (namespace) => meshModeOf(labels.get(namespace) ?? {}, []) === 'ambient',
      })
    } catch (error) {
      return unreadable(error, 'AuthorizationPolicies')
    }
  },
}

export const clusterNetwork: Check = {
  id: 'cluster.network',
  title: 'NetworkPolicies let the connector reach the models',
  needs: ['cluster.models'],
  run: async (context, signal) => {
    const cluster = clusterOf(context)
    const { api, namespaces, account } = cluster
    const wanted = wantedServices(context, cluster)
    if (wanted.length === 0) return notChecked('there are no InferenceServices to call')
    try {
      const policies = (await listAll(api, NETWORK_POLICIES, namespaces, signal)) ?? []
      const own = (await api.get(namespacePath(account.namespace), { signal })) as KubeObject
      return judgeNetwork(cluster, wanted, policies, own.metadata.labels ?? {})
    } catch (error) {
      return unreadable(error, 'NetworkPolicies')
    }
  },
}

/** Returns the InferenceServices that the configuration uses; without a configuration, or with discovery, all of them. */
function wantedServices({ config }: DoctorContext, { services }: Cluster): FoundService[] {
  if ('missing' in config) return [...services]
  const named = Object.values(config.value.models).flatMap(({ url, host }) => {
    const place = serviceOfHost(host ?? new URL(url).host)
    return (place && ownerOf(place, services)) ?? []
  })
  return named.length > 0 && !config.value.discovery.enabled ? named : [...services]
}

async function listAll(
  api: KubeApi,
  kind: KubeKind,
  namespaces: readonly string[],
  signal: AbortSignal,
): Promise<KubeObject[] | undefined> {
  try {
    const lists = await Promise.all(
      [...new Set(namespaces)].map((namespace) =>
        api.list(collectionPath(kind, namespace), { signal, objectsMax: POLICIES_MAX }),
      ),
    )
    return lists.flat()
  } catch (error) {
    if (error instanceof KubeError && error.status === 404) return undefined
    throw error
  }
}

/** What is known about the calls. */
export interface CallFacts {
  readonly token: TokenOwner
  readonly isAmbient: (namespace: string) => boolean
}

/** Judges the AuthorizationPolicies for each InferenceService. */
export function judgeAuthorization(
  cluster: Pick<Cluster, 'account'>,
  services: readonly FoundService[],
  policies: readonly KubeObject[],
  { token, isAmbient }: CallFacts,
): Finding[] {
  const findings = services.flatMap((service): Finding[] => {
    const { name, namespace } = service
    const callers = callersOf(cluster.account, service, token)
    const verdict = bestOf(callers.map((caller) => judgeCaller(policies, ROOT_NAMESPACE, service, caller)))
    if (verdict.state === 'allowed') return []
    const what = `the connector's calls to InferenceService ${namespace}/${name}`
    if (verdict.state === 'unclear') {
      return [
        warning(
          `It cannot be judged whether ${verdict.policy} allows ${what}, because of its "${verdict.field}".`,
          `Read the policy: kubectl get authorizationpolicies -A -o yaml. The check models.metadata shows whether the calls are accepted.`,
        ),
      ]
    }
    return [
      fault(
        `${verdict.policy} refuses ${what}.`,
        `Apply this policy, which allows only the connector, and only inference:\n${authorizationFor(cluster, service, isAmbient(namespace))}`,
      ),
    ]
  })
  return findings.length > 0
    ? findings.slice(0, FINDINGS_MAX)
    : [ok(`No AuthorizationPolicy refuses the connector's calls to ${services.length} InferenceServices.`)]
}

/** Judges the NetworkPolicies for each InferenceService. `labels` are those of the connector's namespace. */
export function judgeNetwork(
  cluster: Pick<Cluster, 'account'>,
  services: readonly FoundService[],
  policies: readonly KubeObject[],
  labels: Readonly<Record<string, string>>,
): Finding[] {
  const { namespace: from } = cluster.account
  const findings = services.flatMap((service): Finding[] => {
    const blocking = blocksCaller(policies, service, from, labels)
    if (blocking.length === 0) return []
    return [
      fault(
        `The NetworkPolicies ${blocking.map((name) => `"${name}"`).join(', ')} in ${service.namespace} block the connector's connections to InferenceService ${service.name}; they time out.`,
        `Apply this policy:\n${networkPolicyFor(from, service)}`,
      ),
    ]
  })
  return findings.length > 0
    ? findings.slice(0, FINDINGS_MAX)
    : [ok(`No NetworkPolicy blocks the connector's connections to ${services.length} InferenceServices.`)]
}

function bestOf(verdicts: readonly Verdict[]): Verdict {
  const find = (state: Verdict['state']) => verdicts.find((verdict) => verdict.state === state)
  return find('allowed') ?? find('unclear') ?? verdicts[0]!
}

function authorizationFor(
  { account }: Pick<Cluster, 'account'>,
  { name, namespace, mode }: FoundService,
  ambient: boolean,
): string {
  const { kubeflow } = manifestParts({
    connector: {
      name: account.name,
      namespace: account.namespace,
      kubeflow: { modelNamespace: namespace, mode, ambient, inferenceServices: [name] },
    },
  })
  return manifestText(kubeflow.filter(({ kind }) => kind === 'AuthorizationPolicy'))
}

function networkPolicyFor(from: string, { name, namespace }: FoundService): string {
  return manifestText([
    {
      apiVersion: NETWORK_API,
      kind: 'NetworkPolicy',
      metadata: { name: `${name}-inferwire`, namespace },
      spec: {
        podSelector: { matchLabels: { 'serving.kserve.io/inferenceservice': name } },
        policyTypes: ['Ingress'],
        ingress: [
          { from: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': from } } }] },
        ],
      },
    },
  ])
}

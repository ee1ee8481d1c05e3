// Writes the log lines about discovery: what was found, what was refused and why, and what to do.
import type { Log } from '../telemetry/index.ts'
import type { Scope } from './cluster-watch.ts'
import { isRefusal, type ObjectKey } from './discovered-model.ts'
import { KUBE_KINDS, resourceOf } from './kube-kinds.ts'
import type { UnreadableObject } from './kube/kube-api.ts'
import type { WatchStatus } from './kube/watch-scope.ts'
import type { Outcome } from './model-counts.ts'
import { shown } from './untrusted-object.ts'

// Limit on the remembered unreadable objects, so that each of them is logged once for each of its versions.
const UNREADABLE_MAX = 1_000

/** The log lines. */
export class DiscoveryNews {
  readonly #log: Log
  readonly #unreadable = new Set<string>()
  readonly #troubled = new Set<string>()

  constructor(log: Log) {
    this.#log = log
  }

  /** Logs what became of an object. The registry logs that a model is exposed. */
  outcome(key: ObjectKey, outcome: Outcome): void {
    const { kind, namespace, name } = key
    if (isRefusal(outcome)) {
      this.#log.warn(
        { event: 'object_refused', kind, namespace, name, reason: outcome.refused },
        outcome.message,
      )
      return
    }
    const { condition } = outcome
    const { state, reason, detail } = condition
    if (state === 'ready' && reason === undefined) return
    const is = state === 'not_ready' ? 'not ready' : state
    const why = reason === undefined ? '' : `: ${reason}`
    const remedy =
      state === 'stopped' ? '' : ` Check: kubectl describe ${resourceOf(kind)} ${name} -n ${namespace}.`
    this.#log.info(
      { event: 'model_state', model: outcome.name, kind, namespace, name, state, reason, detail },
      `Model "${outcome.name}" (${kind} "${namespace}/${name}") is ${is}${why}.${remedy}`,
    )
  }

  /** Logs the state of a watch. */
  status(scope: Scope, status: WatchStatus): void {
    const { kind, namespace } = scope
    const where = whereOf(scope)
    const id = `${kind} ${namespace ?? ''}`
    if (status.state === 'synced') {
      const wasTroubled = this.#troubled.delete(id)
      this.#log[wasTroubled ? 'info' : 'debug'](
        { event: 'discovery_synced', kind, namespace },
        `The connector follows ${where}.`,
      )
      return
    }
    this.#troubled.add(id)
    const { state, error } = status
    const level = state === 'failing' ? 'warn' : 'error'
    this.#log[level](
      { event: `discovery_${state}`, kind, namespace, reason: error.reason, detail: error.message },
      `The connector cannot read ${where}: ${error.message}. ${remedyOf(scope, status)}`,
    )
  }

  /** Logs that the models of a scope are not exposed any more. */
  revoked(scope: Scope, models: number): void {
    const { kind, namespace } = scope
    this.#log.error(
      { event: 'discovery_revoked', kind, namespace, models },
      `The connector may not read ${whereOf(scope)} any more, so their models are not exposed any more (${models}).`,
    )
  }

  /** Logs an object that cannot be read, once for each of its versions. */
  unreadable(kind: Scope['kind'], { identity, error }: UnreadableObject): void {
    const { namespace = '', name = '?', resourceVersion = '' } = identity
    const id = `${kind} ${namespace}/${name} ${resourceVersion}`
    if (this.#unreadable.has(id)) return
    if (this.#unreadable.size >= UNREADABLE_MAX) this.#unreadable.clear()
    this.#unreadable.add(id)
    this.#log.warn(
      { event: 'object_unreadable', kind, namespace, name: shown(name), reason: error.reason },
      `${kind} "${shown(namespace)}/${shown(name)}" is ignored: ${error.message}. ${error.remedy}`,
    )
  }

  /** Logs a namespace that is not read. */
  tooMany(namespace: string, namespacesMax: number): void {
    this.#log.error(
      { event: 'namespace_ignored', namespace },
      `The namespace "${namespace}" is not read, because discovery.namespaceSelector selects more than ${namespacesMax} namespaces. Use a selector for fewer namespaces, or namespaces: ["*"].`,
    )
  }
}

function whereOf({ kind, namespace }: Scope): string {
  if (kind === 'Namespace') return 'the namespaces of the cluster'
  return `the ${KUBE_KINDS[kind].plural} of ${namespace === undefined ? 'the cluster' : `the namespace "${namespace}"`}`
}

function remedyOf(
  { kind, namespace }: Scope,
  { state, error }: Exclude<WatchStatus, { state: 'synced' }>,
): string {
  if (state === 'forbidden') {
    const resource = kind === 'Namespace' ? 'namespaces' : resourceOf(kind)
    const role = namespace === undefined ? 'a ClusterRole' : `a Role in the namespace "${namespace}"`
    return `Grant the verbs get, list and watch for ${resource} to the connector's ServiceAccount with ${role}; "inferwire manifests" and the Helm chart create it.`
  }
  if (state === 'absent' && kind !== 'Namespace') {
    return `Install KServe in the cluster, or remove ${kind} from discovery.kinds. Check: kubectl get crd ${resourceOf(kind)}.`
  }
  return error.remedy
}

// Finds the models of a cluster, and exposes them through the registry.
import type { DiscoveryStatus } from '@inferwire/protocol'
import { ConfigError, type ConfigMistake, type ConnectorConfig, type ModelConfig } from '../config/index.ts'
import type { ModelTraits } from '../step.ts'
import type { Log } from '../telemetry/index.ts'
import { ClusterWatch, type Scope } from './cluster-watch.ts'
import type { Condition, DiscoveredModel, Refusal } from './discovered-model.ts'
import { DiscoveryNews } from './discovery-news.ts'
import { resourceOf } from './kube-kinds.ts'
import { KubeApi } from './kube/kube-api.ts'
import { KubeError } from './kube/kube-error.ts'
import type { Pace } from './kube/retry-pace.ts'
import type { WatchStatus } from './kube/watch-scope.ts'
import type { DiscoveryFigures } from './model-counts.ts'
import { ModelStore } from './model-store.ts'
import { rulesOf } from './rules.ts'

/** The parts of the registry that discovery needs. */
export interface DiscoveredModels {
  set(
    name: string,
    config: ModelConfig,
    discovered: {
      readonly traits: ModelTraits
      readonly reason: string | undefined
      readonly inspect: string
    },
  ): ConfigMistake | undefined
  withhold(model: {
    readonly name: string
    readonly config: Omit<ModelConfig, 'url' | 'host'>
    readonly traits: ModelTraits
    readonly condition: Condition
  }): void
  remove(name: string): void
}

/** Dependencies of `Discovery`. */
export interface DiscoveryParts {
  readonly config: Pick<ConnectorConfig, 'discovery' | 'models'>
  readonly models: DiscoveredModels
  /** Called when the status may have changed. */
  readonly changed: () => void
  /** Called once, when the objects of all namespaces are known. */
  readonly known: () => void
  readonly log: Log
  /** Access to the cluster. @default as `discovery.kubeconfig` and the pod's ServiceAccount determine */
  readonly api?: KubeApi | undefined
  readonly pace?: Partial<Pace> | undefined
  /** How long access must be refused before the models are removed, in milliseconds. @default 60000 */
  readonly revokedAfterMs?: number | undefined
}

// An API server that has just started may refuse access until it has read the Roles.
const REVOKED_AFTER_MS = 60_000

/** Discovery of models in a cluster. */
export class Discovery {
  readonly #parts: DiscoveryParts
  readonly #api: KubeApi
  readonly #news: DiscoveryNews
  readonly #store: ModelStore
  readonly #watch: ClusterWatch
  readonly #states = new Map<string, WatchStatus['state']>()
  readonly #revoking = new Map<string, NodeJS.Timeout>()
  /** Scopes whose models were removed because access was refused for too long. */
  readonly #revoked = new Set<string>()
  #isKnown = false
  #isCheckDue = false
  #isStopped = false

  /** Starts to follow the cluster. @throws ConfigError if there is no way to reach it */
  constructor(parts: DiscoveryParts) {
    this.#parts = parts
    const { config, log, pace } = parts
    this.#api = parts.api ?? findApi(config)
    this.#news = new DiscoveryNews(log)
    this.#store = new ModelStore({
      rules: rulesOf(config),
      configured: new Set(Object.keys(config.models)),
      sink: {
        expose: (model) => this.#expose(model),
        remove: (name) => parts.models.remove(name),
        news: (key, outcome) => this.#news.outcome(key, outcome),
      },
    })
    this.#watch = new ClusterWatch(this.#api, {
      config: config.discovery,
      pace,
      sink: {
        set: (kind, object) => this.#change(() => this.#store.set(kind, object)),
        deleted: (key) => this.#change(() => this.#store.delete(key)),
        status: (scope, status) => this.#status(scope, status),
        left: (scope) => this.#left(scope),
        skipped: (kind, unreadable) => this.#news.unreadable(kind, unreadable),
        tooMany: (namespace, namespacesMax) => this.#news.tooMany(namespace, namespacesMax),
      },
    })
  }

  /** Resolves when every namespace has been read once, or could not be read. */
  async firstStatus(): Promise<void> {
    await this.#watch.firstStatus()
  }

  /** The numbers of models and refused objects. */
  get figures(): DiscoveryFigures {
    return this.#store.counts
  }

  /** The member `discovery` of the connector's status. */
  get status(): DiscoveryStatus {
    const { defaultNamespace, aliases } = this.#parts.config.discovery
    const names = Object.keys(aliases)
    const { models, refusedTotal } = this.#store.counts
    return {
      namespaces: this.#watch.namespaces,
      ...(defaultNamespace === undefined ? {} : { default_namespace: defaultNamespace }),
      ...(names.length === 0 ? {} : { aliases: names }),
      ...models,
      refused: refusedTotal,
    }
  }

  /** Takes a new configuration, after the registry has applied it. */
  reloaded(models: Readonly<Record<string, ModelConfig>>): void {
    this.#change(() => this.#store.reloaded(new Set(Object.keys(models))))
  }

  /** Stops to follow the cluster. The models stay as they are. */
  async stop(): Promise<void> {
    this.#isStopped = true
    for (const timer of this.#revoking.values()) clearTimeout(timer)
    await this.#watch.stop()
    await this.#api.close()
  }

  #expose({ key, name, condition, address, options, traits }: DiscoveredModel): Refusal | undefined {
    const { models } = this.#parts
    if (condition.state !== 'ready' || address === undefined) {
      models.withhold({ name, config: options, traits, condition })
      return undefined
    }
    const inspect = `kubectl get ${resourceOf(key.kind)} ${key.name} -n ${key.namespace}`
    const mistake = models.set(
      name,
      { ...options, ...address },
      { traits, reason: condition.reason, inspect },
    )
    if (mistake === undefined) return undefined
    // A message about a credential continues the path.
    const what = mistake.path.endsWith('.credential') ? `its credential ${mistake.message}` : mistake.message
    return {
      refused: 'credential',
      message: `${key.kind} "${key.namespace}/${key.name}" is not exposed: ${what}`,
    }
  }

  #status(scope: Scope, status: WatchStatus): void {
    const id = idOf(scope)
    this.#states.set(id, status.state)
    this.#news.status(scope, status)
    // Other failures may alternate with refusals; only an answer shows that access is granted again.
    if (isRefused(status)) this.#revokeLater(id, scope)
    if (status.state === 'synced') {
      this.#keepAccess(id)
      this.#change(() => this.#store.resume(scope))
    }
    this.#checkKnown()
  }

  #revokeLater(id: string, scope: Scope): void {
    if (this.#revoking.has(id) || this.#revoked.has(id)) return
    const { revokedAfterMs = REVOKED_AFTER_MS } = this.#parts
    const timer = setTimeout(() => {
      this.#revoking.delete(id)
      this.#revoked.add(id)
      this.#change(() => {
        const models = this.#store.suspend(scope)
        if (models > 0) this.#news.revoked(scope, models)
      })
      this.#checkKnown()
    }, revokedAfterMs)
    this.#revoking.set(id, timer.unref())
  }

  #keepAccess(id: string): void {
    clearTimeout(this.#revoking.get(id))
    this.#revoking.delete(id)
    this.#revoked.delete(id)
  }

  #left(scope: Scope): void {
    const id = idOf(scope)
    this.#keepAccess(id)
    this.#states.delete(id)
    this.#change(() => this.#store.drop(scope))
    this.#checkKnown()
  }

  // Checks once for all changes of one turn. The watches of a new namespace are counted before the status of the list
  // of namespaces is reported, so no namespace is missed.
  #checkKnown(): void {
    if (this.#isKnown || this.#isCheckDue) return
    this.#isCheckDue = true
    queueMicrotask(() => {
      this.#isCheckDue = false
      if (this.#isStopped || this.#states.size < this.#watch.scopeCount) return
      const isKnown = [...this.#states].every(
        ([id, state]) => state === 'synced' || state === 'absent' || this.#revoked.has(id),
      )
      if (!isKnown) return
      this.#isKnown = true
      this.#parts.known()
    })
  }

  #change(apply: () => void): void {
    apply()
    this.#parts.changed()
  }
}

// The API server answers 401 if the connector's ServiceAccount was deleted, or its token was revoked.
function isRefused(status: WatchStatus): boolean {
  return status.state === 'forbidden' || (status.state === 'failing' && status.error.status === 401)
}

function idOf({ kind, namespace }: Scope): string {
  return `${kind} ${namespace ?? '*'}`
}

function findApi({ discovery }: DiscoveryParts['config']): KubeApi {
  const { kubeconfig, context } = discovery
  try {
    return KubeApi.find({
      ...(kubeconfig === undefined ? {} : { kubeconfig }),
      ...(context === undefined ? {} : { context }),
    })
  } catch (error) {
    if (!(error instanceof KubeError)) throw error
    throw new ConfigError([
      {
        path: kubeconfig === undefined ? 'discovery.enabled' : 'discovery.kubeconfig',
        source: 'configuration',
        message: `the cluster cannot be reached: ${error.message}. ${error.remedy}`,
      },
    ])
  }
}

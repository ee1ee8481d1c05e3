// Watches the objects of all kinds, in the namespaces that the configuration lists or selects.
import type { DiscoveryConfig } from '../config/index.ts'
import type { Kind, ObjectKey } from './discovered-model.ts'
import { KUBE_KINDS } from './kube-kinds.ts'
import type { KubeApi, UnreadableObject } from './kube/kube-api.ts'
import type { KubeObject } from './kube/kube-object.ts'
import { NamespaceSet } from './kube/namespace-set.ts'
import { ResourceWatch } from './kube/resource-watch.ts'
import type { Pace } from './kube/retry-pace.ts'
import type { WatchStatus } from './kube/watch-scope.ts'

/** The objects of one kind, in one namespace or (undefined) in the whole cluster. */
export interface Scope {
  /** `Namespace` = the list of namespaces. */
  readonly kind: Kind | 'Namespace'
  readonly namespace: string | undefined
}

/** Takes what the watches report. */
export interface ClusterSink {
  set(kind: Kind, object: KubeObject): void
  deleted(key: ObjectKey): void
  status(scope: Scope, status: WatchStatus): void
  /** The namespace does not match the selector any more. */
  left(scope: Scope): void
  skipped(kind: Scope['kind'], unreadable: UnreadableObject): void
  /** A namespace matches the selector, but there are too many of them. */
  tooMany(namespace: string, namespacesMax: number): void
}

/** Options of the watches. */
export interface ClusterWatchOptions {
  readonly config: Pick<DiscoveryConfig, 'namespaces' | 'namespaceSelector' | 'kinds'>
  readonly sink: ClusterSink
  readonly pace?: Partial<Pace> | undefined
}

// Each namespace takes one connection for each kind. As many as `discovery.namespaces` may list.
const NAMESPACES_MAX = 1_000

interface NamespaceWatch {
  isEnded: boolean
  readonly watches: readonly ResourceWatch[]
}

/** The watches of a cluster. */
export class ClusterWatch {
  readonly #api: KubeApi
  readonly #options: ClusterWatchOptions
  readonly #selected = new Map<string, NamespaceWatch>()
  readonly #fixed: readonly ResourceWatch[]
  readonly #namespaces: NamespaceSet | undefined

  /** Starts the watches. */
  constructor(api: KubeApi, options: ClusterWatchOptions) {
    this.#api = api
    this.#options = options
    const { namespaces, namespaceSelector } = options.config
    if (namespaceSelector === undefined) {
      const listed = namespaces.includes('*') ? undefined : namespaces
      this.#fixed = this.#watch(listed, () => true)
      return
    }
    this.#fixed = []
    this.#namespaces = this.#select(namespaceSelector)
  }

  /** The namespaces whose objects are read; `*` = all. */
  get namespaces(): string[] {
    return this.#namespaces === undefined ? [...this.#options.config.namespaces] : [...this.#selected.keys()]
  }

  /** The number of scopes that report a status. */
  get scopeCount(): number {
    const { namespaces, kinds } = this.#options.config
    if (this.#namespaces !== undefined) return 1 + kinds.length * this.#selected.size
    return kinds.length * (namespaces.includes('*') ? 1 : new Set(namespaces).size)
  }

  /** Resolves when every namespace has reported its first status, whatever it is. */
  async firstStatus(): Promise<void> {
    await this.#namespaces?.firstStatus
    const watches = [...this.#fixed, ...[...this.#selected.values()].flatMap((each) => each.watches)]
    await Promise.all(watches.map(({ firstStatus }) => firstStatus))
  }

  /** Ends all watches. The sink is not called afterwards. */
  async stop(): Promise<void> {
    await this.#namespaces?.stop()
    const ending = [...this.#selected.values()].map((each) => end(each))
    await Promise.all([...ending, ...this.#fixed.map((watch) => watch.stop())])
  }

  #watch(namespaces: readonly string[] | undefined, isActive: () => boolean): ResourceWatch[] {
    const { config, sink, pace } = this.#options
    return config.kinds.map(
      (kind) =>
        new ResourceWatch(this.#api, {
          kind: KUBE_KINDS[kind],
          namespaces,
          ...(pace === undefined ? {} : { pace }),
          handlers: {
            set: (object) => isActive() && sink.set(kind, object),
            deleted: ({ namespace = '', name }) => isActive() && sink.deleted({ kind, namespace, name }),
            status: (status, namespace) => isActive() && sink.status({ kind, namespace }, status),
            skipped: (unreadable) => isActive() && sink.skipped(kind, unreadable),
          },
        }),
    )
  }

  #select(labelSelector: string): NamespaceSet {
    const { sink, pace } = this.#options
    return new NamespaceSet(this.#api, {
      labelSelector,
      ...(pace === undefined ? {} : { pace }),
      handlers: {
        added: (name) => this.#add(name),
        removed: (name) => this.#remove(name),
        status: (status) => sink.status({ kind: 'Namespace', namespace: undefined }, status),
        skipped: (unreadable) => sink.skipped('Namespace', unreadable),
      },
    })
  }

  #add(namespace: string): void {
    if (this.#selected.size >= NAMESPACES_MAX) {
      this.#options.sink.tooMany(namespace, NAMESPACES_MAX)
      return
    }
    const watch: NamespaceWatch = {
      isEnded: false,
      watches: this.#watch([namespace], () => !watch.isEnded),
    }
    this.#selected.set(namespace, watch)
  }

  #remove(namespace: string): void {
    const watch = this.#selected.get(namespace)
    if (watch === undefined) return
    this.#selected.delete(namespace)
    void end(watch)
    for (const kind of this.#options.config.kinds) this.#options.sink.left({ kind, namespace })
  }
}

async function end(watch: NamespaceWatch): Promise<void> {
  watch.isEnded = true
  await Promise.all(watch.watches.map((each) => each.stop()))
}

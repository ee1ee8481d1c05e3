// The namespaces that match a label selector, kept up to date.
import type { KubeApi, UnreadableObject } from './kube-api.ts'
import { ResourceWatch, type ResourceWatchOptions } from './resource-watch.ts'
import type { WatchStatus } from './watch-scope.ts'

/** Takes what a namespace set reports. */
export interface NamespaceHandlers {
  /** A namespace matches the selector now. */
  added(name: string): void
  /** A namespace no longer matches, or no longer exists. */
  removed(name: string): void
  status(status: WatchStatus): void
  skipped(unreadable: UnreadableObject): void
}

/** Options of a namespace set. */
export interface NamespaceSetOptions extends Pick<
  ResourceWatchOptions,
  'pace' | 'silenceMs' | 'watchSeconds'
> {
  /** Kubernetes label selector; '' selects all namespaces. */
  readonly labelSelector: string
  readonly handlers: NamespaceHandlers
}

/** Watches the namespaces that match a label selector. Needs `list` and `watch` for namespaces in the cluster. */
export class NamespaceSet {
  readonly #names = new Set<string>()
  readonly #watch: ResourceWatch

  /** Starts the watch. */
  constructor(api: KubeApi, { labelSelector, handlers, ...options }: NamespaceSetOptions) {
    this.#watch = new ResourceWatch(api, {
      ...options,
      kind: { group: '', version: 'v1', plural: 'namespaces' },
      labelSelector: labelSelector === '' ? undefined : labelSelector,
      handlers: {
        set: ({ metadata: { name } }) => {
          if (this.#names.has(name)) return
          this.#names.add(name)
          handlers.added(name)
        },
        deleted: ({ name }) => {
          if (this.#names.delete(name)) handlers.removed(name)
        },
        status: (status) => handlers.status(status),
        skipped: (unreadable) => handlers.skipped(unreadable),
      },
    })
  }

  /** Resolves with the first status, whatever it is. */
  get firstStatus(): Promise<void> {
    return this.#watch.firstStatus
  }

  /** The namespaces that match. */
  get names(): ReadonlySet<string> {
    return this.#names
  }

  /** Returns whether a namespace matches. */
  has(name: string): boolean {
    return this.#names.has(name)
  }

  /** Ends the watch. No handler is called afterwards. */
  async stop(): Promise<void> {
    await this.#watch.stop()
  }
}
